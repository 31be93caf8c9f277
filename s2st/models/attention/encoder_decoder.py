"""LSTM and GRU encoder-decoders with attention (Bahdanau et al. 2015, Luong et al. 2015).

The encoder reads in both directions by default: each layer has a forward and a backward half of
half the width, whose states are concatenated. Every decoder layer starts from the last states,
hidden and cell, of the encoder layer at its height, as in Luong et al. (Bahdanau et al. start from
tanh(W h) of the backward direction.)

s_t is the decoder's top state and c_t the weighted mean of the encoder's top states. A word is
predicted from f_t = tanh(W [c_t; s_t]), as in Luong et al. (Bahdanau et al. have a maxout layer.)
    no input feeding        s_t reads only the words, and is the query. The recurrence does not
        depend on attention, so training runs whole targets at once, which is fastest. With
        additive attention this is not Bahdanau's order.
    input feeding, dot or general   s_t also reads f_{t-1} (Luong et al., section 3.3).
    input feeding, additive         the query is s_{t-1}, and s_t also reads c_t: Bahdanau's order.
`attention_query` chooses the order by name. With `attention="none"`, f_t = s_t.
"""

from dataclasses import dataclass

import torch
from torch import nn

from s2st.data.batch import Batch, SourceBatch, moved
from s2st.errors import UsageError
from s2st.models.attention.attention_weights import AttendedSource, SourceAttention
from s2st.models.attention.bridge import Bridge
from s2st.models.attention_record import recorded, weights_of
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
    without_eos,
)
from s2st.models.configs import AttentionConfig
from s2st.models.dropout import dropped
from s2st.models.packed.packed_linear import PreparedLinear
from s2st.models.recurrent.bidirectional_stack import BidirectionalStack
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.recurrent.word_inputs import word_inputs
from s2st.models.softmax.output_layer import Output, word_tables
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.vector_input import input_table
from s2st.text.vocabulary import PAD_ID


@dataclass(frozen=True)
class AttentionState(DecoderState):
    """The decoder's memory, and the sources. Rows of one sentence share its source.

    Attributes:
        memory: (P, N, H) the layers' hidden states, then their cell states.
        fed: (N, H) the previous features, which Luong's input feeding reads; otherwise None.
        source: the sources of these rows, and possibly of others; None without attention.
        sentences: (N,) the sentence of each row; None if row i is sentence i.
    """

    memory: torch.Tensor
    fed: torch.Tensor | None
    source: AttendedSource | None
    sentences: torch.Tensor | None

    def select(self, rows: torch.Tensor) -> "AttentionState":
        """A new state with these rows. Sources are copied only if fewer than half are needed."""
        memory = self.memory.index_select(1, rows)
        fed = None if self.fed is None else self.fed.index_select(0, rows)
        source = self.source
        if source is None:
            return AttentionState(memory, fed, None, None)
        sentences = rows.clone() if self.sentences is None else self.sentences.index_select(0, rows)
        live = torch.unique(sentences)
        if 2 * len(live) < len(source):
            source, sentences = source.select(live), torch.searchsorted(live, sentences)
        return AttentionState(memory, fed, source, sentences)


class AttentionModel(WordModel):
    """A recurrent encoder and a decoder that attends to its states.

    Args:
        cell: "lstm" or "gru".
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    prepared_parts = ("decoder", "attention", "combine", "softmax")

    def __init__(self, cell: str, config: AttentionConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding, self.dropout = config.sizes()
        self.config = config
        tables = word_tables(config, sizes, embedding)
        self.source_embedding, self.target_embedding = tables
        kind = BidirectionalStack if config.bidirectional else Stack
        width = config.encoder_hidden_size or hidden
        self.encoder = kind(cell, embedding, width, layers)
        config.check()
        fed = (width if config.attends_first else hidden) if config.input_feeding else 0
        self.decoder = Stack(cell, embedding + fed, hidden, layers)
        self.attention: SourceAttention | None = None
        self.combine: PreparedLinear | None = None
        bias = config.attention_bias
        if config.attention != "none":
            self.attention = SourceAttention(
                config.attention, hidden, config.attention_heads, width, bias
            )
            self.combine = PreparedLinear(width + hidden, hidden, bias)
        self.bridge: Bridge | None = None
        if config.bridge != "none":
            self.bridge = Bridge(config.bridge, layers, self.decoder.planes, width, hidden)
        elif width != hidden:
            raise UsageError(
                f"--encoder-hidden-size {width} differs from --hidden-size {hidden}: add --bridge "
                "linear or relu"
            )
        self.softmax = Output(hidden, sizes.target_vocabulary, config, self.target_embedding)
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
            with torch.no_grad():
                table.weight[PAD_ID].zero_()

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """The states of every position, and the encoder's memory after the last."""
        if not self.config.source_eos:
            source = without_eos(source)
        tokens = source.tokens.t()
        words = input_table(self.source_embedding, source)
        inputs, rows = word_inputs(words, tokens, self.encoder, self.dropout)
        states, memory = self.encoder.run_padded(inputs, source.lengths, self.dropout, rows)
        positions = torch.arange(source.tokens.shape[1])
        mask = moved(positions < source.lengths.unsqueeze(1), source.tokens.device)
        return EncoderOutput((memory,), states.transpose(0, 1), mask)

    def initial_state(self, encoder_output: EncoderOutput) -> AttentionState:
        """The encoder's memory, and its states as keys and values of the attention."""
        (memory,) = encoder_output.final
        states, mask = encoder_output.states, encoder_output.mask
        assert states is not None
        assert mask is not None
        source = None if self.attention is None else self.attention.source(states, mask)
        if self.bridge is not None:
            memory = self.bridge(memory)
        feeds = self.config.input_feeding and not self.config.attends_first
        fed = torch.zeros_like(memory[0]) if feeds else None
        return AttentionState(memory, fed, source, None)

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """Concatenated last hidden states, lowest layer first; for the LSTM also cell states."""
        (memory,) = encoder_output.final
        parts = torch.split(memory.transpose(0, 1), len(self.decoder.layers), dim=1)
        return {n: part.flatten(1) for n, part in zip(("hidden", "cell"), parts, strict=False)}

    def attention_weights(self, batch: Batch) -> dict[str, tuple[torch.Tensor, ...]]:
        """The weights of the only layer of attention, from the decoder to the source."""
        if self.attention is None:
            return {}
        with recorded() as record:
            self.decode(batch.target_in, self.initial_state(self.encode(batch.source)))
        return {"cross": weights_of(record, self.source_attention())}

    def source_attention(self) -> tuple[nn.Module, ...]:
        """The only layer of attention, if there is one."""
        return () if self.attention is None else (self.attention,)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features (B, T, H) after each token of target_in (B, T)."""
        assert isinstance(state, AttentionState)
        source = state.source
        if source is not None and state.sentences is not None:
            source = source.select(state.sentences)
        table, tokens = self.target_embedding, target_in.t()
        if self.config.input_feeding:
            inputs = dropped(table(tokens), self.dropout, self.training)
            features = self._decode_fed(inputs, state, source)
        else:
            inputs, rows = word_inputs(table, tokens, self.decoder, self.dropout)
            tops = self.decoder.run(inputs, state.memory, self.dropout, rows)[0].transpose(0, 1)
            features = self._attended(tops, source)
        return dropped(features, self.dropout, self.training)

    def _decode_fed(
        self, inputs: torch.Tensor, state: AttentionState, source: AttendedSource | None
    ) -> torch.Tensor:
        """Features (B, T, H) of inputs (T, B, E) with input feeding, one step at a time."""
        memory, fed = state.memory, state.fed
        if fed is None:
            return self._decode_contexts(inputs, memory, source)
        features = []
        for column in inputs:
            joined = torch.cat([column, fed], dim=1).unsqueeze(0)
            top, memory = self.decoder.run(joined, memory, self.dropout)
            fed = self._attended(top.transpose(0, 1), source).squeeze(1)
            features.append(fed)
        return torch.stack(features, dim=1)

    def _decode_contexts(
        self, inputs: torch.Tensor, memory: torch.Tensor, source: AttendedSource | None
    ) -> torch.Tensor:
        """Features (B, T, H) of inputs (T, B, E) where the state before a word is the query."""
        assert self.attention is not None
        assert source is not None
        tops, contexts = [], []
        for column in inputs:
            context = self.attention(self._top(memory).unsqueeze(1), source)[0].squeeze(1)
            joined = torch.cat([column, context], dim=1).unsqueeze(0)
            top, memory = self.decoder.run(joined, memory, self.dropout)
            tops.append(top.squeeze(0))
            contexts.append(context)
        return self._features(torch.stack(contexts, dim=1), torch.stack(tops, dim=1))

    def _attended(self, tops: torch.Tensor, source: AttendedSource | None) -> torch.Tensor:
        """Features (B, T, H) of top states (B, T, H), which are also the queries."""
        if self.attention is None or source is None:
            return tops
        return self._features(self.attention(tops, source)[0], tops)

    def _features(self, contexts: torch.Tensor, tops: torch.Tensor) -> torch.Tensor:
        """The features from which words are predicted."""
        assert self.combine is not None
        product = self.combine(torch.cat([contexts, tops], dim=-1))
        return product if self.config.attention_output == "linear" else torch.tanh(product)

    def _top(self, memory: torch.Tensor) -> torch.Tensor:
        return memory[len(self.decoder.layers) - 1]

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row; the attention is the mean over the heads."""
        assert isinstance(state, AttentionState)
        if self.attention is None or state.source is None:
            memory = self._read(tokens, state)
            top = self._top(memory)
            fed = None if state.fed is None else top
            return ModelStep(top, AttentionState(memory, fed, None, None), None)
        if self.config.attends_first:
            before = self._top(state.memory)
            context, weights = self.attention.rows(before, state.source, state.sentences)
            inputs = torch.cat([self.target_embedding(tokens), context], dim=1)
            memory = self.decoder.steps.step(inputs, state.memory)
        else:
            memory = self._read(tokens, state)
            top = self._top(memory)
            context, weights = self.attention.rows(top, state.source, state.sentences)
        features = self._features(context, self._top(memory))
        fed = None if state.fed is None else features
        after = AttentionState(memory, fed, state.source, state.sentences)
        return ModelStep(features, after, weights)

    def _read(self, tokens: torch.Tensor, state: AttentionState) -> torch.Tensor:
        """The memory after reading one token in each row."""
        if state.fed is not None:
            inputs = torch.cat([self.target_embedding(tokens), state.fed], dim=1)
            return self.decoder.steps.step(inputs, state.memory)
        words, rows = torch.unique(tokens, return_inverse=True)  # rows often read the same word
        return self.decoder.steps.step(self.target_embedding(words), state.memory, rows)


def build_lstm_attention(config: AttentionConfig, sizes: ModelSizes) -> AttentionModel:
    """The architecture `lstm-attention`."""
    return AttentionModel("lstm", config, sizes)


def build_gru_attention(config: AttentionConfig, sizes: ModelSizes) -> AttentionModel:
    """The architecture `gru-attention`."""
    return AttentionModel("gru", config, sizes)
