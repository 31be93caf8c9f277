"""The aligned RNN, which writes one target word as soon as it has read one source word.

An RNN maps sequences to sequences in this way if the alignment is known in advance (Sutskever et
al. 2014, section 2): h_t = f(W x_t + U h_{t-1}), and y_t is predicted by a softmax of h_t. Target
word t depends on source words 1 to t only. It does not depend on other target words, so that the
target words are independent given the source. The model cannot add, drop or reorder words.

A target has as many words as its source. EOS has probability 1 at the source's EOS, and 0 before.
So p(target | source) is a distribution over the targets of that length.

Letters: B sentences, N rows being decoded, S source and T target length with EOS, H width, V words.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import Batch, SourceBatch, moved
from s2st.errors import DataError, UsageError
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
)
from s2st.models.configs import AlignedConfig, vanilla_cell
from s2st.models.dropout import dropped
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.softmax.output_layer import Output
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.vector_input import VectorInput, input_table
from s2st.text.vocabulary import EOS_ID, PAD_ID

INSIDE, AT_END, BEYOND = 0, 1, 2  # a position is at a word of the source, at EOS, at padding


@dataclass(frozen=True)
class AlignedState(DecoderState):
    """The position of the rows in their sources.

    Attributes:
        features: (B, S + 1, H + 1) of every source position and one more; see `decode`.
        rows: (N,) the sentence of each row.
        position: tokens read so far, the same for all rows.
    """

    features: torch.Tensor
    rows: torch.Tensor
    position: int

    def select(self, rows: torch.Tensor) -> "AlignedState":
        """A new state with these rows, which shares the features."""
        return replace(self, rows=self.rows.index_select(0, rows))


class AlignedModel(WordModel):
    """The architecture `aligned-rnn`: recurrent layers between source words and target words.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes.

    Raises:
        UsageError: the config ties embeddings, but the target has none.
    """

    prepared_parts = ("layers", "softmax")
    encoder_parts = ("source_embedding", "layers")

    def __init__(self, config: AlignedConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding, self.dropout = config.sizes()
        if config.tie_embeddings != "none":
            raise UsageError("--tie-embeddings: the aligned RNN has no target embeddings")
        self.config = config
        self.hidden_size = hidden
        self.source_embedding = nn.Embedding(sizes.source_vocabulary, embedding, PAD_ID)
        if sizes.source_vectors:
            self.source_embedding = VectorInput(sizes.source_vectors, embedding)
        nn.init.normal_(self.source_embedding.weight, std=0.1)
        with torch.no_grad():
            self.source_embedding.weight[PAD_ID].zero_()
        cell = vanilla_cell(config.nonlinearity) if config.cell == "rnn" else config.cell
        self.layers = Stack(cell, embedding, hidden, layers)
        # without EOS, whose probability is 0 or 1
        self.softmax = Output(hidden, sizes.target_vocabulary - 1, config)

    def check_pairs(self, batch: Batch) -> None:
        """Raises DataError for the first pair whose sides differ in length."""
        unequal = (batch.source.lengths != batch.target_lengths).nonzero().flatten().tolist()
        if unequal:
            row = unequal[0]
            source, target = (int(x[row]) - 1 for x in (batch.source.lengths, batch.target_lengths))
            raise DataError(
                f"pair {batch.source.line_ids[row] + 1} has {source} source and {target} target "
                "tokens; the architecture aligned-rnn writes one target token for each source "
                "token: remove such pairs, or use another architecture"
            )

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """The top state of every position; neither later words nor padding change a state."""
        table = input_table(self.source_embedding, source)
        inputs = dropped(table(source.tokens.t()), self.dropout, self.training)
        before = inputs.new_zeros(self.layers.planes, len(source), self.hidden_size)
        states, _ = self.layers.run(inputs, before, self.dropout)
        states = states.transpose(0, 1)
        ends = moved(source.lengths - 1, states.device)
        positions = torch.arange(states.shape[1], device=states.device)
        last = states[torch.arange(len(ends), device=states.device), ends]
        return EncoderOutput((last,), states, positions <= ends.unsqueeze(1))

    def initial_state(self, encoder_output: EncoderOutput) -> AlignedState:
        """Before the first source token."""
        states, mask = encoder_output.states, encoder_output.mask
        assert states is not None
        assert mask is not None
        real = F.pad(mask, (0, 1)).to(states.dtype)
        following = F.pad(real[:, 1:], (0, 1))
        place = BEYOND - real - following  # AT_END: the position is real, the next is not
        features = torch.cat([F.pad(states, (0, 0, 0, 1)), place.unsqueeze(2)], dim=2)
        rows = torch.arange(len(states), device=states.device)
        return AlignedState(features, rows, 0)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features (B, T, H + 1): top states, then INSIDE, AT_END or BEYOND as a number."""
        assert isinstance(state, AlignedState)
        width = state.features.shape[1]
        positions = torch.arange(state.position, state.position + target_in.shape[1])
        positions = moved(positions.clamp(max=width - 1), target_in.device)
        features = state.features[state.rows].index_select(1, positions)
        if not self.training:
            return features
        states = dropped(features[..., :-1], self.dropout, True)
        return torch.cat([states, features[..., -1:]], dim=-1)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits. -inf: EOS if INSIDE, all but EOS if AT_END, all but padding if BEYOND."""
        place = features[..., -1:]
        words = self.softmax.project(features[..., :-1])
        never = torch.full_like(words[..., :1], -torch.inf)
        logits = torch.cat([words[..., :EOS_ID], never, words[..., EOS_ID:]], dim=-1)
        only = torch.where(place == AT_END, EOS_ID, PAD_ID)
        sure = torch.full_like(logits, -torch.inf).scatter(-1, only, 0.0)
        return torch.where(place == INSIDE, logits, sure)

    def narrowed(self, words: torch.Tensor, precision: str) -> nn.Module:
        """Raises UsageError: the probability of EOS does not come from the softmax."""
        raise UsageError("--shortlist: the architecture aligned-rnn has no softmax over EOS")

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of pairs that pass `check_pairs`; EOS has no loss and no smoothing."""
        inside = (words != EOS_ID).nonzero().squeeze(1)
        words = words[inside]
        words = words - (words > EOS_ID).long()  # the softmax has no EOS
        return self.softmax.loss(features[inside, :-1], words, smoothing)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Moves to the next source position, which gets all attention; ignores the tokens."""
        assert isinstance(state, AlignedState)
        width = state.features.shape[1]
        features = state.features[state.rows, min(state.position, width - 1)]
        positions = torch.arange(width - 1, device=features.device)
        attention = (features[:, -1:] != BEYOND) & (positions == state.position)
        after = replace(state, position=state.position + 1)
        return ModelStep(features, after, attention.to(features.dtype))
