"""The Transformer (Vaswani et al. 2017) with pre-norm or post-norm layers.

Embeddings are multiplied by the square root of the width and added to sinusoids, so that sentences
can have any length. Decoding caches the keys and values of the words read (`decoder_cache.py`).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import SourceBatch, moved
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
)
from s2st.models.registry import TransformerConfig
from s2st.models.softmax.output_layer import Output, word_tables
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.transformer.decoder_cache import Sources, TransformerState, group_rows
from s2st.models.transformer.layers import Linear, TransformerLayer, sinusoids, sizes_of
from s2st.text.vocabulary import PAD_ID


class TransformerStack(nn.Module):
    """Word embeddings and a stack of layers on them.

    Args:
        config: every size must be set.
        table: the word embeddings.
        reads_source: whether the layers have cross-attention.

    Raises:
        UsageError: the heads do not divide the width.
    """

    def __init__(self, config: TransformerConfig, table: nn.Embedding, reads_source: bool) -> None:
        super().__init__()
        self.width, _, self.dropout = sizes_of(config)
        self.tables = (table,)  # a tuple: no parameters of this module
        assert config.layers is not None
        self.layers = nn.ModuleList(
            TransformerLayer(config, reads_source) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(self.width) if config.norm == "pre" else nn.Identity()

    def forward(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor | None = None,
        sources: Sources | None = None,
    ) -> torch.Tensor:
        """Top states (B, T, H) of tokens (B, T).

        Args:
            tokens: ids.
            mask: (B, T) True at real positions; None for causal self-attention.
            sources: for cross-attention; source i belongs to row i.
        """
        hidden = self._embed(tokens, 0)
        for index, layer in enumerate(self.layers):
            source = None if sources is None else (sources.memory[index], sources.mask)
            hidden = layer(hidden, mask, source)
        result: torch.Tensor = self.norm(hidden)
        return result

    def step(self, tokens: torch.Tensor, state: TransformerState) -> ModelStep:
        """Reads one token (N,) in each row; returns the attention of the top layer."""
        hidden = self._embed(tokens.unsqueeze(1), state.index.shape[1]).squeeze(1)
        index, memory, sources = state.longer(), [], state.sources
        groups = None if sources is None else group_rows(sources)
        attention = None
        for number, layer in enumerate(self._layers()):
            before = state.memory[number] if state.memory else None
            hidden, kept = layer.step(hidden, before, index)
            memory.append(kept)
            if sources is not None and groups is not None:
                top = number == len(self.layers) - 1
                hidden, attention = layer.step_source(
                    hidden, groups, sources.memory[number], sources.mask, top
                )
            hidden = layer.feed_forward(hidden)
        after = TransformerState(index, tuple(memory), sources)
        return ModelStep(self.norm(hidden), after, attention)

    def source_memory(self, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Each layer's keys and values (B, S, 2H) of the encoder's top states (B, S, H)."""
        return tuple(layer.cross_attention.memory(states) for layer in self._layers())

    def prepare(self, precision: str) -> None:
        """Packs the weights for scoring on a CPU, permanently."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.prepare(precision)

    def _layers(self) -> list[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]

    def _embed(self, tokens: torch.Tensor, first: int) -> torch.Tensor:
        """Embeddings (B, T, H) of ids (B, T), the first of which is at position `first`."""
        words = self.tables[0](tokens) * math.sqrt(self.width)
        hidden = words + sinusoids(first, tokens.shape[1], self.width, words)
        return F.dropout(hidden, self.dropout, self.training)


def initialize_table(table: nn.Embedding) -> None:
    """Sets random vectors of about unit length, and zeros for padding.

    Multiplied by the root of the width they are as large as the sinusoids. As the rows of a softmax
    they give logits near 1.
    """
    nn.init.normal_(table.weight, std=table.embedding_dim**-0.5)
    with torch.no_grad():
        table.weight[PAD_ID].zero_()


class TransformerModel(WordModel):
    """Encoder and decoder stacks, with embeddings and a softmax matrix.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    prepared_parts = ("encoder", "decoder", "softmax")

    def __init__(self, config: TransformerConfig, sizes: ModelSizes) -> None:
        super().__init__()
        self.config = config
        width, _, _ = sizes_of(config)
        self.source_embedding, self.target_embedding = word_tables(config, sizes, width)
        for table in (self.source_embedding, self.target_embedding):
            initialize_table(table)
        self.encoder = TransformerStack(config, self.source_embedding, False)
        self.decoder = TransformerStack(config, self.target_embedding, True)
        self.softmax = Output(width, sizes.target_vocabulary, config, self.target_embedding)

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """The top state of every position."""
        positions = torch.arange(source.tokens.shape[1])
        mask = moved(positions < source.lengths.unsqueeze(1), source.tokens.device)
        return EncoderOutput((), self.encoder(source.tokens, mask), mask)

    def initial_state(self, encoder_output: EncoderOutput) -> TransformerState:
        """No words, and the keys and values of the sources, which no step changes."""
        states, mask = encoder_output.states, encoder_output.mask
        assert states is not None
        assert mask is not None
        index = torch.empty((len(mask), 0), dtype=torch.int64, device=mask.device)
        return TransformerState(index, (), Sources(self.decoder.source_memory(states), mask))

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """The mean of the top states of each source, EOS included."""
        states, mask = encoder_output.states, encoder_output.mask
        assert states is not None
        assert mask is not None
        real = mask.unsqueeze(2)
        return {"mean": states.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1)}

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top states (B, T, H) after each token of target_in (B, T)."""
        assert isinstance(state, TransformerState)
        sources = None if state.sources is None else state.sources.by_row()
        features: torch.Tensor = self.decoder(target_in, None, sources)
        return features

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row."""
        assert isinstance(state, TransformerState)
        return self.decoder.step(tokens, state)
