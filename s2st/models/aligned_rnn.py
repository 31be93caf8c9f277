"""The aligned RNN: one target word for each source word, written as soon as that word is read.

This is how an RNN maps sequences to sequences where the alignment is known ahead (Sutskever et al.
2014, section 2): h_t = f(W x_t + U h_{t-1}), y_t by a softmax of h_t. Target word t depends on the
source's words up to the t-th: neither on later ones, nor on the target words before it, which are
therefore independent of each other given the source. Nothing can be added or left out, and no word
can come before its source word has been read.

A target has exactly as many words as its source: before the source's EOS no EOS may come, at it
nothing else. p(target | source) is a distribution over the targets of that length.

Letters: B sentences, N rows being decoded, S source and T target length with EOS, H width, V words.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import DataError, UsageError
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
)
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.registry import AlignedConfig
from s2st.models.softmax.output_layer import Output
from s2st.models.softmax.softmax_model import WordModel
from s2st.text.vocabulary import EOS_ID, PAD_ID

INSIDE, AT_END, BEYOND = 0, 1, 2  # where a position is: on a word of the source, its EOS, padding


@dataclass(frozen=True)
class AlignedState(DecoderState):
    """Where the rows are in their sources.

    Attributes:
        features: (B, S + 1, H + 1) of every source position and one beyond, as `decode` gives them.
        rows: (N,) the source of each row.
        position: tokens read so far, the same for all rows.
    """

    features: torch.Tensor
    rows: torch.Tensor
    position: int

    def select(self, rows: torch.Tensor) -> "AlignedState":
        """Rows of the state, in a new one that shares the features."""
        return replace(self, rows=self.rows.index_select(0, rows))


class AlignedModel(WordModel):
    """The architecture `aligned-rnn`: a stack of recurrent layers between source and target words.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes.

    Raises:
        UsageError: embeddings are to be shared; the target has none.
    """

    prepared_parts = ("layers", "softmax")

    def __init__(self, config: AlignedConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding, self.dropout = config.sizes()
        if config.tie_embeddings != "none":
            raise UsageError("--tie-embeddings: the aligned RNN has no target embeddings")
        self.config = config
        self.hidden_size = hidden
        self.source_embedding = nn.Embedding(sizes.source_vocabulary, embedding, PAD_ID)
        nn.init.normal_(self.source_embedding.weight, std=0.1)
        with torch.no_grad():
            self.source_embedding.weight[PAD_ID].zero_()
        self.layers = Stack(config.cell, embedding, hidden, layers)
        # every word but EOS, which is no matter of chance here
        self.softmax = Output(hidden, sizes.target_vocabulary - 1, config)

    def check_pairs(self, batch: Batch) -> None:
        """Raises DataError of the first pair whose sides are not equally long."""
        unequal = (batch.source.lengths != batch.target_lengths).nonzero().flatten().tolist()
        if unequal:
            row = unequal[0]
            source, target = (int(x[row]) - 1 for x in (batch.source.lengths, batch.target_lengths))
            raise DataError(
                f"pair {batch.source.line_ids[row] + 1} has {source} source and {target} target "
                "tokens; the architecture aligned-rnn writes one target token for each source "
                "token: leave such pairs out, or take another architecture"
            )

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """Every position's top state, which nothing that follows changes, padding neither."""
        inputs = F.dropout(self.source_embedding(source.tokens.t()), self.dropout, self.training)
        before = inputs.new_zeros(self.layers.planes, len(source), self.hidden_size)
        states, _ = self.layers.run(inputs, before, self.dropout)
        states = states.transpose(0, 1)
        ends = (source.lengths - 1).to(states.device)
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
        """Features (B, T, H + 1): top states and, last, whether INSIDE, AT_END or BEYOND."""
        assert isinstance(state, AlignedState)
        width = state.features.shape[1]
        positions = torch.arange(state.position, state.position + target_in.shape[1])
        positions = positions.clamp(max=width - 1).to(target_in.device)
        features = state.features[state.rows].index_select(1, positions)
        if not self.training:
            return features
        states = F.dropout(features[..., :-1], self.dropout)
        return torch.cat([states, features[..., -1:]], dim=-1)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits, -inf of EOS inside; of all but EOS at the end, of all but padding beyond it."""
        place = features[..., -1:]
        words = self.softmax.project(features[..., :-1])
        never = torch.full_like(words[..., :1], -torch.inf)
        logits = torch.cat([words[..., :EOS_ID], never, words[..., EOS_ID:]], dim=-1)
        only = torch.where(place == AT_END, EOS_ID, PAD_ID)
        sure = torch.full_like(logits, -torch.inf).scatter(-1, only, 0.0)
        return torch.where(place == INSIDE, logits, sure)

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of pairs that `check_pairs` lets pass: EOS costs nothing, smoothing leaves it out."""
        inside = (words != EOS_ID).nonzero().squeeze(1)
        words = words[inside]
        words = words - (words > EOS_ID).long()  # the softmax has no EOS
        return self.softmax.loss(features[inside, :-1], words, smoothing)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """The next source position of each row, which has all attention; tokens do not matter."""
        assert isinstance(state, AlignedState)
        width = state.features.shape[1]
        features = state.features[state.rows, min(state.position, width - 1)]
        positions = torch.arange(width - 1, device=features.device)
        attention = (features[:, -1:] != BEYOND) & (positions == state.position)
        after = replace(state, position=state.position + 1)
        return ModelStep(features, after, attention.to(features.dtype))
