"""Recurrent decoders. Each step reads a word and, in some models, a vector of the source.

Letters: B sentences, N rows being decoded, T target length, E embedding, H width, P planes.
"""

from dataclasses import dataclass

import torch
from torch import nn

from s2st.models.base import DecoderState, ModelStep
from s2st.models.dropout import dropped
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.recurrent.word_inputs import word_inputs


@dataclass(frozen=True)
class RecurrentState(DecoderState):
    """Hidden states and, for the LSTM, cell states.

    Attributes:
        memory: (P, N, H) the layers' hidden states, then their cell states.
        context: (N, C) the source vector that every step reads, or None.
    """

    memory: torch.Tensor
    context: torch.Tensor | None

    def select(self, rows: torch.Tensor) -> "RecurrentState":
        """A new state with these rows."""
        context = None if self.context is None else self.context.index_select(0, rows)
        return RecurrentState(self.memory.index_select(1, rows), context)


def memory_vectors(state: DecoderState) -> torch.Tensor:
    """(N, P x H) the hidden states of all layers, then the cell states, of each row."""
    assert isinstance(state, RecurrentState)
    return state.memory.transpose(0, 1).flatten(1)


def run_decoder(
    words: nn.Embedding, stack: Stack, target_in: torch.Tensor, state: DecoderState, dropout: float
) -> torch.Tensor:
    """Outputs of the top layer (B, T, H) after each token of target_in (B, T)."""
    assert isinstance(state, RecurrentState)
    rows: torch.Tensor | None = None
    if state.context is None:
        inputs, rows = word_inputs(words, target_in.t(), stack, dropout)
    else:
        inputs = dropped(words(target_in.t()), dropout, stack.training)
        context = state.context.unsqueeze(0).expand(len(inputs), -1, -1)
        inputs = torch.cat([inputs, context], dim=2)
    outputs, _ = stack.run(inputs, state.memory, dropout, rows)
    return dropped(outputs, dropout, stack.training).transpose(0, 1)


def step_decoder(
    words: nn.Embedding, stack: Stack, tokens: torch.Tensor, state: DecoderState
) -> ModelStep:
    """Reads one token (N,) in each row."""
    assert isinstance(state, RecurrentState)
    if state.context is not None:
        inputs = torch.cat([words(tokens), state.context], dim=1)
        memory = stack.steps.step(inputs, state.memory)
    elif tokens.device.type != "cpu":  # `unique` would wait for the GPU
        memory = stack.steps.step(words(tokens), state.memory)
    else:  # rows of a beam or of an n-best list often read the same word
        distinct, rows = torch.unique(tokens, return_inverse=True)
        memory = stack.steps.step(words(distinct), state.memory, rows)
    return ModelStep(stack.top(memory), RecurrentState(memory, state.context), None)
