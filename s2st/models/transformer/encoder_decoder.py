"""The Transformer (Vaswani et al. 2017) with pre-norm or post-norm layers.

Embeddings are multiplied by the square root of the width and added to sinusoids, so that sentences
can have any length. Decoding caches the keys and values of the words read (`decoder_cache.py`).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import UsageError
from s2st.models.attention_record import Record, recorded, weights_of
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
    without_eos,
)
from s2st.models.configs import TransformerConfig
from s2st.models.dropout import dropped
from s2st.models.prefix_tree import PrefixTree, TreeParts
from s2st.models.softmax.output_layer import Output, word_tables
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.transformer.decoder_cache import (
    Sources,
    TransformerState,
    WordCache,
    bias_of,
    first_rows,
    grouped,
)
from s2st.models.transformer.layers import TransformerLayer, sinusoids, sizes_of
from s2st.models.transformer.packing import Packing, packing_of
from s2st.models.vector_input import InputTable, VectorInput, input_table
from s2st.text.vocabulary import PAD_ID

TREE_ROWS = 64  # nodes of a tree that read their sentence's memory together


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
        self.heads = config.heads
        self.scale = math.sqrt(self.width) if config.scale_embeddings else 1.0
        self.halves = config.positions == "half-sinusoids"
        self.positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.max_positions, self.width))
            nn.init.normal_(self.positions, std=0.02)  # as GPT-2
        assert config.layers is not None
        count = config.decoder_layers if reads_source else None
        self.layers = nn.ModuleList(
            TransformerLayer(config, reads_source) for _ in range(count or config.layers)
        )
        self.norm: nn.Module = nn.Identity()
        if config.norm == "pre":
            self.norm = nn.LayerNorm(self.width, config.norm_epsilon)

    def forward(
        self,
        tokens: torch.Tensor,
        packing: Packing,
        causal: bool,
        sources: Sources | None = None,
        table: InputTable | None = None,
    ) -> torch.Tensor:
        """Top states (P, H) of the packed positions of tokens (B, T).

        Args:
            tokens: ids.
            packing: the positions to compute.
            causal: whether a position reads only the positions before it, and itself.
            sources: for cross-attention; source i belongs to sentence i.
            table: the word vectors of this batch, if they are not the stack's.
        """
        hidden = self._embed(tokens, packing, table or self.tables[0])
        for index, layer in enumerate(self.layers):
            source = None if sources is None else (sources.memory[index], sources.mask)
            hidden = layer(hidden, packing, causal, source)
        result: torch.Tensor = self.norm(hidden)
        return result

    def step(self, tokens: torch.Tensor, state: TransformerState) -> ModelStep:
        """Reads one token (N,) in each row; returns the attention of the top layer."""
        position = self._positions(state.words, 1)
        hidden = self._scaled(self.tables[0](tokens), position)
        rows, sources = state.rows, state.sources
        reads = state.next_reads()
        bias = None
        if reads is not None:
            bias = bias_of(rows.spread(reads).unsqueeze(1), hidden.dtype)
        cache = state.cache.extendable(state.columns)
        attention = None
        for number, layer in enumerate(self._layers()):
            hidden = layer.step(hidden, rows, cache, number, bias)
            if sources is not None:
                top = number == len(self.layers) - 1
                hidden, attention = layer.step_source(
                    hidden, rows, sources.memory[number], sources.bias, top
                )
            hidden = layer.feed_forward(hidden)
        cache.used += rows.width
        after = replace(state, words=state.words + 1, cache=cache, columns=cache.used, reads=reads)
        return ModelStep(self.norm(hidden), after, attention)

    def read_tree(self, tree: PrefixTree, sources: Sources | None) -> torch.Tensor:
        """Top states (P, H) after each node of a tree."""
        table = self.tables[0]
        positions = self._positions(0, tree.paths.shape[1])
        hidden = self._scaled(table(tree.tokens), positions.index_select(0, tree.depths))
        rows, sentences = grouped(tree.sentences, TREE_ROWS)
        bias = None
        if sources is not None and sources.bias is not None:
            bias = sources.bias.index_select(0, sentences)
        parts = TreeParts(tree, self.heads, self.width, hidden.dtype)
        for number, layer in enumerate(self._layers()):
            hidden = layer.read_tree(hidden, parts)
            if sources is not None:
                memory = sources.memory[number].index_select(1, sentences)
                hidden, _ = layer.step_source(hidden, rows, memory, bias, False)
            hidden = layer.feed_forward(hidden)
        result: torch.Tensor = self.norm(hidden)
        return result

    def source_memory(self, states: torch.Tensor, packing: Packing) -> tuple[torch.Tensor, ...]:
        """Each layer's keys and values (2, B, A, S, D) of the packed top states (P, H)."""
        memories = []
        for layer in self._layers():
            attention = layer.cross_attention
            parts = packing.unpack(attention.memory(states)).chunk(2, dim=-1)
            memories.append(torch.stack([attention.split(part) for part in parts]))
        return tuple(memories)

    def prepare(self, precision: str) -> None:
        """Packs the weights for scoring on a CPU, permanently."""
        for layer in self._layers():
            layer.prepare(precision)

    def attention_weights(self, record: Record) -> dict[str, tuple[torch.Tensor, ...]]:
        """The weights that the layers noted: "self" and, if they read a source, "cross"."""
        found = {"self": weights_of(record, [layer.self_attention for layer in self._layers()])}
        if self.source_attention():
            found["cross"] = weights_of(record, self.source_attention())
        return found

    def source_attention(self) -> tuple[nn.Module, ...]:
        """The cross-attention of each layer, if the layers read a source."""
        return tuple(layer.cross_attention for layer in self._layers() if layer.reads_source)

    def _layers(self) -> list[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]

    def _embed(self, tokens: torch.Tensor, packing: Packing, table: InputTable) -> torch.Tensor:
        """(P, H) embeddings of the packed positions of ids (B, T)."""
        length = tokens.shape[1]
        positions = self._positions(0, length)
        if packing.places is None:
            hidden = self._scaled(table(tokens), positions).flatten(0, 1)
        else:
            positions = positions.index_select(0, packing.places % length)
            hidden = self._scaled(table(packing.pack(tokens)), positions)
        return dropped(hidden, self.dropout, self.training)

    def _scaled(self, words: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Embeddings times their scale, plus positions, in one pass."""
        return torch.add(positions, words, alpha=self.scale)

    def _positions(self, first: int, count: int) -> torch.Tensor:
        """(count, H) what is added to the embeddings of positions from `first` on."""
        if self.positions is None:
            return sinusoids(first, count, self.width, self.tables[0].weight, self.halves)
        if first + count > len(self.positions):
            raise UsageError(
                f"a sentence has more than {len(self.positions)} tokens, the most that this model "
                "can read or write (--positions learned, --max-positions); shorten the line, or "
                "lower --max-len-a and --max-len-b"
            )
        return self.positions[first : first + count]


def initialize_table(table: nn.Embedding) -> None:
    """Sets random vectors of about unit length, and zeros for padding.

    Multiplied by the root of the width they are as large as the sinusoids. As the rows of a softmax
    they give logits near 1.
    """
    nn.init.normal_(table.weight, std=table.embedding_dim**-0.5)
    if isinstance(table, VectorInput):  # as long for vectors whose numbers have the variance 1
        size = table.projection.in_features
        nn.init.normal_(table.projection.weight, std=(size * table.embedding_dim) ** -0.5)
        nn.init.zeros_(table.projection.bias)
    with torch.no_grad():
        table.weight[PAD_ID].zero_()


@dataclass(frozen=True)
class PackedEncoding(EncoderOutput):
    """An encoder's output with the packing of its positions."""

    packing: Packing | None = None


class TransformerModel(WordModel):
    """Encoder and decoder stacks, with embeddings and a softmax matrix.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    prepared_parts = ("encoder", "decoder", "softmax")
    computes_trees = True

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
        if not self.config.source_eos:
            source = without_eos(source)
        packing = packing_of(source.lengths, source.tokens.shape[1], source.tokens.device)
        table = input_table(self.source_embedding, source)
        states = packing.unpack(self.encoder(source.tokens, packing, causal=False, table=table))
        mask = packing.mask
        if mask is None:
            mask = torch.ones(packing.shape, dtype=torch.bool, device=states.device)
        return PackedEncoding((), states, mask, packing)

    def initial_state(self, encoder_output: EncoderOutput) -> TransformerState:
        """No words, and the keys and values of the sources, which no step changes."""
        assert isinstance(encoder_output, PackedEncoding)
        states, packing = encoder_output.states, encoder_output.packing
        assert states is not None
        assert packing is not None
        memory = self.decoder.source_memory(packing.pack(states), packing)
        mask = None if packing.mask is None else packing.mask[:, None, None]
        rows = first_rows(len(states), states.device)
        bias = None if mask is None else bias_of(mask, memory[0].dtype)
        return TransformerState(rows, 0, WordCache([]), sources=Sources(memory, mask, bias))

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """The mean of the top states of each source, EOS included."""
        states, mask = encoder_output.states, encoder_output.mask
        assert states is not None
        assert mask is not None
        real = mask.unsqueeze(2)
        return {"mean": states.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1)}

    def attention_weights(self, batch: Batch) -> dict[str, tuple[torch.Tensor, ...]]:
        """The weights of all three kinds of attention."""
        with recorded() as record:
            self.decode(batch.target_in, self.initial_state(self.encode(batch.source)))
        encoder = self.encoder.attention_weights(record)
        decoder = self.decoder.attention_weights(record)
        return {
            "encoder": encoder["self"], "decoder": decoder["self"], "cross": decoder["cross"],
        }  # fmt: skip

    def source_attention(self) -> tuple[nn.Module, ...]:
        """The cross-attention of each layer of the decoder."""
        return self.decoder.source_attention()

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top states (B, T, H) after each token of target_in (B, T)."""
        packing = Packing((target_in.shape[0], target_in.shape[1]))
        return packing.unpack(self._decode(target_in, packing, state))

    def decode_targets(self, batch: Batch, state: DecoderState) -> torch.Tensor:
        """Top states (P, H) of the real positions only."""
        width, device = batch.target_in.shape[1], batch.target_in.device
        packing = packing_of(batch.target_lengths, width, device)
        return self._decode(batch.target_in, packing, state)

    def decode_tree(self, tree: PrefixTree, state: DecoderState) -> torch.Tensor:
        """Top states (P, H) after each node of a tree."""
        assert isinstance(state, TransformerState)
        return self.decoder.read_tree(tree, state.sources)

    def _decode(
        self, target_in: torch.Tensor, packing: Packing, state: DecoderState
    ) -> torch.Tensor:
        assert isinstance(state, TransformerState)
        assert state.sources is not None
        sources = state.sources
        if state.rows.width > 1 or state.rows.inverse is not None:
            sources = sources.select(state.rows.group)  # after a selection of rows
        features: torch.Tensor = self.decoder(target_in, packing, True, sources)
        return features

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row."""
        assert isinstance(state, TransformerState)
        return self.decoder.step(tokens, state)
