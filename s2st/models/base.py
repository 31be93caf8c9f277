"""The one interface between models and the rest.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V target
vocabulary, H width. Batch first, right-padded.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from s2st.data.batch import SourceBatch


class DecoderState(ABC):
    """What a decoder carries from one step to the next, one row for each of N hypotheses."""

    @abstractmethod
    def select(self, rows: torch.Tensor) -> "DecoderState":
        """A state whose row i is row rows[i] of this one; this one does not change.

        Args:
            rows: (N',) int64; may repeat, reorder and drop rows.
        """


@dataclass(frozen=True)
class EncoderOutput:
    """What the encoder hands to the decoder.

    Attributes:
        final: the model's own summary of each source; rows in the order of the batch.
        states: (B, S, H) every position's top state, for attention; None where not kept.
        mask: (B, S) True at real source positions; None where not kept.
    """

    final: tuple[torch.Tensor, ...]
    states: torch.Tensor | None = None
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class ModelStep:
    """One decoding step: logits (N, V), the next state, attention (N, S) or None."""

    logits: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


class Seq2SeqModel(nn.Module, ABC):
    """A trainable p(target | source). `decode` and `project` are apart so that only real target
    positions need be projected; both together equal a loop over `step`.
    """

    @abstractmethod
    def encode(self, source: SourceBatch) -> EncoderOutput:
        """Reads B sources. Reversal of the source, where the config asks for it, happens here."""

    @abstractmethod
    def initial_state(self, encoder_output: EncoderOutput) -> DecoderState:
        """The decoder's state before its first step, B rows."""

    @abstractmethod
    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features (B, T, H) of target_in (B, T), teacher forced from the initial state."""

    @abstractmethod
    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (..., V) of features (..., H)."""

    @abstractmethod
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token (N,) in each row."""


@dataclass(frozen=True)
class ModelSizes:
    """Rows of the embedding tables, the four special tokens counted."""

    source_vocabulary: int
    target_vocabulary: int


def reverse_tokens(source: SourceBatch) -> torch.Tensor:
    """(B, S) the tokens with each sentence's words in reverse; EOS and padding stay in place."""
    width = source.tokens.shape[1]
    positions = torch.arange(width).unsqueeze(0)
    words = source.lengths.unsqueeze(1) - 1  # without EOS
    index = torch.where(positions < words, words - 1 - positions, positions)
    return source.tokens.gather(1, index.to(source.tokens.device))


def parameters_by_part(model: nn.Module) -> dict[str, tuple[int, int]]:
    """For each top-level part: (weights, biases), counted apart as the paper counts weights."""
    parts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        weights, biases = parts.get(part, (0, 0))
        if "bias" in name.split(".")[-1]:
            biases += parameter.numel()
        else:
            weights += parameter.numel()
        parts[part] = (weights, biases)
    return parts
