"""Vanilla RNN, GRU and LSTM encoder-decoders without attention (Sutskever et al. 2014).

The encoder's final state (every layer) is the decoder's first state; `context="every-step"` also
feeds the encoder's top hidden state to every decoder step (Cho et al. 2014). The softmax has no
output bias, as in the paper.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from s2st.data.batch import SourceBatch
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
    Seq2SeqModel,
    reverse_tokens,
)
from s2st.models.cells import CELLS, STEPS
from s2st.models.int8 import Int8OutputLayer, Int8Weight
from s2st.models.output import OutputLayer
from s2st.models.registry import RecurrentConfig
from s2st.text.vocabulary import PAD_ID

STEP_ROWS = 512  # rows whose gates are computed together, so that they stay in a cache
Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class RecurrentState(DecoderState):
    """Hidden and, for the LSTM, cell states.

    Attributes:
        memory: (P, N, H), the layers' hidden states, then their cell states.
        context: (N, H) the encoder's summary where every step reads it, else None.
    """

    memory: torch.Tensor
    context: torch.Tensor | None

    def select(self, rows: torch.Tensor) -> "RecurrentState":
        """Rows of the state, in a new one."""
        context = None if self.context is None else self.context.index_select(0, rows)
        return RecurrentState(self.memory.index_select(1, rows), context)


class Stack(nn.Module):
    """Recurrent layers with dropout between them, each an nn.RNNBase of one layer.

    Single layers keep dropout's random draws torch's own, so that a resumed run repeats them.
    """

    def __init__(self, cell: str, input_size: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        self.cell = cell
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.layers = nn.ModuleList(CELLS[cell](size, hidden_size) for size in sizes)
        self._int8: list[tuple[Product, Product]] | None = None

    @property
    def planes(self) -> int:
        """First dimension of a state's memory."""
        return len(self.layers) * (2 if self.cell == "lstm" else 1)

    def run(
        self, inputs: torch.Tensor, memory: torch.Tensor | None, dropout: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs over time-first inputs (T, B, E); returns top states (T, B, H) and the memory."""
        if self._int8 is not None and memory is not None:
            return self._run_steps(inputs, memory)
        hiddens, cells = [], []
        for index, layer in enumerate(self.layers):
            if index:
                inputs = F.dropout(inputs, dropout, self.training)
            inputs, final = layer(inputs, self._layer_memory(memory, index))
            hiddens.append(final[0] if self.cell == "lstm" else final)
            if self.cell == "lstm":
                cells.append(final[1])
        return inputs, torch.cat(hiddens + cells)

    def _run_steps(
        self, inputs: torch.Tensor, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tops = []
        for column in inputs:
            memory = self.step(column, memory)
            tops.append(memory[len(self.layers) - 1])
        return torch.stack(tops), memory

    def run_packed(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> torch.Tensor:
        """Runs over time-first padded inputs (S, B, E); the memory after each one's last token."""
        packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
        hiddens, cells = [], []
        for index, layer in enumerate(self.layers):
            if index:
                packed = PackedSequence(F.dropout(packed.data, dropout, self.training), *packed[1:])
            packed, final = layer(packed)
            hiddens.append(final[0] if self.cell == "lstm" else final)
            if self.cell == "lstm":
                cells.append(final[1])
        return torch.cat(hiddens + cells)

    def step(
        self, inputs: torch.Tensor, memory: torch.Tensor, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One step of every layer, without dropout.

        Args:
            inputs: (N, E); with `rows` (U, E), distinct inputs whose products are made once.
            memory: (P, N, H) before the step.
            rows: (N,) which of the inputs each row reads.

        Returns:
            (P, N, H) the memory after the step.
        """
        products = self._products()
        first = products[0][0](inputs)
        chosen = (
            torch.split(first, STEP_ROWS)
            if rows is None
            else (first.index_select(0, part) for part in torch.split(rows, STEP_ROWS))
        )
        after = torch.empty_like(memory)
        for gates, before, now in zip(
            chosen,
            torch.split(memory, STEP_ROWS, dim=1),
            torch.split(after, STEP_ROWS, dim=1),
            strict=True,
        ):
            self._step_rows(gates, before, now, products)
        return after

    def _step_rows(
        self,
        gates: torch.Tensor,
        before: torch.Tensor,
        after: torch.Tensor,
        products: list[tuple[Product, Product]],
    ) -> None:
        """Few enough rows for a cache; `gates` is the first layer's product with its input."""
        count = len(self.layers)
        for index, (of_input, of_state) in enumerate(products):
            if index:
                gates = of_input(after[index - 1])
            cell = before[count + index] if self.cell == "lstm" else None
            hidden, cell = STEPS[self.cell](gates, of_state(before[index]), before[index], cell)
            after[index] = hidden
            if cell is not None:
                after[count + index] = cell

    def quantize(self) -> None:
        """From now on the weights of steps are int8; `run` is then a loop over steps."""
        self._int8 = [
            (Int8Weight(w, w_bias), Int8Weight(u, u_bias))
            for w, u, w_bias, u_bias in map(_weights, self.layers)
        ]

    def _products(self) -> list[tuple[Product, Product]]:
        """For each layer, what multiplies its input and what multiplies its state."""
        if self._int8 is not None:
            return self._int8
        return [
            (partial(F.linear, weight=w, bias=w_bias), partial(F.linear, weight=u, bias=u_bias))
            for w, u, w_bias, u_bias in map(_weights, self.layers)
        ]

    def _layer_memory(
        self, memory: torch.Tensor | None, index: int
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None:
        if memory is None:
            return None
        hidden = memory[index : index + 1].contiguous()
        if self.cell != "lstm":
            return hidden
        count = len(self.layers)
        return hidden, memory[count + index : count + index + 1].contiguous()


def _weights(layer: nn.Module) -> tuple[torch.Tensor, ...]:
    """Weights of input and state, and biases of input and state, of one layer."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return tuple(layer.get_parameter(name) for name in names)


class RecurrentModel(Seq2SeqModel):
    """Encoder and decoder stacks of one cell kind, with embeddings and a softmax matrix.

    Args:
        cell: "lstm", "gru" or "rnn".
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    def __init__(self, cell: str, config: RecurrentConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding = config.layers, config.hidden_size, config.embedding_size
        if layers is None or hidden is None or embedding is None or config.dropout is None:
            raise ValueError("layers, hidden_size, embedding_size and dropout must be set")
        self.config = config
        self.dropout = config.dropout
        every_step = config.context == "every-step"
        self.source_embedding = nn.Embedding(sizes.source_vocabulary, embedding, PAD_ID)
        self.target_embedding = nn.Embedding(sizes.target_vocabulary, embedding, PAD_ID)
        self.encoder = Stack(cell, embedding, hidden, layers)
        self.decoder = Stack(cell, embedding + (hidden if every_step else 0), hidden, layers)
        self.softmax: OutputLayer = OutputLayer(hidden, sizes.target_vocabulary)
        self._initialize()

    def _initialize(self) -> None:
        if self.config.init == "uniform":
            bound = self.config.init_range
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -bound, bound)
        else:
            for table in (self.source_embedding, self.target_embedding):
                nn.init.normal_(table.weight, std=0.1)
        for table in (self.source_embedding, self.target_embedding):
            with torch.no_grad():
                table.weight[PAD_ID].zero_()

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """The encoder's memory after each source's EOS."""
        tokens = reverse_tokens(source) if self.config.reverse_source else source.tokens
        inputs = self.source_embedding(tokens.t())
        inputs = F.dropout(inputs, self.dropout, self.training)
        return EncoderOutput((self.encoder.run_packed(inputs, source.lengths, self.dropout),))

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """The encoder's memory, and its top hidden state where every step reads it."""
        (memory,) = encoder_output.final
        top = len(self.encoder.layers) - 1
        context = memory[top] if self.config.context == "every-step" else None
        return RecurrentState(memory, context)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top hidden states (B, T, H) after each token of target_in (B, T)."""
        assert isinstance(state, RecurrentState)
        inputs = self.target_embedding(target_in.t())
        inputs = F.dropout(inputs, self.dropout, self.training)
        if state.context is not None:
            context = state.context.unsqueeze(0).expand(len(inputs), -1, -1)
            inputs = torch.cat([inputs, context], dim=2)
        outputs, _ = self.decoder.run(inputs, state.memory, self.dropout)
        return F.dropout(outputs, self.dropout, self.training).transpose(0, 1)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits by the softmax matrix."""
        logits: torch.Tensor = self.softmax(features)
        return logits

    def word_log_probs(
        self, features: torch.Tensor, rows: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """By the softmax layer, in blocks of words."""
        return self.softmax.word_log_probs(features, rows, words)

    def quantize(self) -> None:
        """Decoder steps and softmax in int8; the encoder, once a sentence, stays as it is."""
        self.decoder.quantize()
        self.softmax = Int8OutputLayer(self.softmax)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """One token in each row."""
        assert isinstance(state, RecurrentState)
        if state.context is not None:
            inputs = torch.cat([self.target_embedding(tokens), state.context], dim=1)
            memory = self.decoder.step(inputs, state.memory)
        else:  # rows of a beam or list often read the same word
            words, rows = torch.unique(tokens, return_inverse=True)
            memory = self.decoder.step(self.target_embedding(words), state.memory, rows)
        top = memory[len(self.decoder.layers) - 1]
        return ModelStep(top, RecurrentState(memory, state.context), None)


def build_lstm(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `lstm`."""
    return RecurrentModel("lstm", config, sizes)


def build_gru(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `gru`."""
    return RecurrentModel("gru", config, sizes)


def build_rnn(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `rnn`."""
    return RecurrentModel("rnn", config, sizes)
