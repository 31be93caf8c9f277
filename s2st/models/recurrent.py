"""Vanilla RNN, GRU and LSTM encoder-decoders without attention (Sutskever et al. 2014).

The encoder's final state (every layer) is the decoder's first state; `context="every-step"` also
feeds the encoder's top hidden state to every decoder step (Cho et al. 2014). The softmax has no
output bias, as in the paper.
"""

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
from s2st.models.cells import CELLS
from s2st.models.products import make_product
from s2st.models.registry import RecurrentConfig
from s2st.models.softmax_loss import softmax_loss
from s2st.models.stepping import Steps
from s2st.text.vocabulary import PAD_ID


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
        self._prepared: Steps | None = None

    @property
    def planes(self) -> int:
        """First dimension of a state's memory."""
        return len(self.layers) * (2 if self.cell == "lstm" else 1)

    def run(
        self, inputs: torch.Tensor, memory: torch.Tensor | None, dropout: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs over time-first inputs (T, B, E); returns top states (T, B, H) and the memory."""
        if self._prepared is not None and memory is not None:
            return self._prepared.run(inputs, memory)
        hiddens, cells = [], []
        for index, layer in enumerate(self.layers):
            if index:
                inputs = F.dropout(inputs, dropout, self.training)
            inputs, final = layer(inputs, self._layer_memory(memory, index))
            hiddens.append(final[0] if self.cell == "lstm" else final)
            if self.cell == "lstm":
                cells.append(final[1])
        return inputs, torch.cat(hiddens + cells)

    def run_packed(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> torch.Tensor:
        """Runs over time-first padded inputs (S, B, E); the memory after each one's last token."""
        if inputs.device.type == "cpu":
            return self._run_stretches(inputs, lengths, dropout)
        return self._run_sequence(inputs, lengths, dropout)

    def _run_sequence(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> torch.Tensor:
        """As `run_packed`, by a packed sequence: what cuDNN wants."""
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

    def _run_stretches(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> torch.Tensor:
        """As `run_packed`, without packing: torch's fused layer on CPUs does not take it.

        Longest sentence first, each stretch of time in which no sentence ends is run by itself.
        """
        order = lengths.argsort(descending=True, stable=True)
        inputs = inputs.index_select(1, order)
        pieces, start = [], 0
        for end in torch.unique(lengths).tolist():
            pieces.append(inputs[start:end, : int((lengths >= end).sum())])
            start = end
        finals = []
        for index, layer in enumerate(self.layers):
            if index:
                pieces = [F.dropout(piece, dropout, self.training) for piece in pieces]
            pieces, final = self._layer_stretches(layer, pieces)
            finals.append(final)
        memory = torch.cat([final[:1] for final in finals] + [final[1:] for final in finals])
        return memory.index_select(1, order.argsort())

    def _layer_stretches(
        self, layer: nn.Module, pieces: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Outputs of one layer, and (1 or 2, B, H) each sentence's last hidden and cell state."""
        outputs, ended = [], []
        memory: torch.Tensor | None = None
        state: torch.Tensor | tuple[torch.Tensor, ...] | None = None
        for index, piece in enumerate(pieces):
            if memory is not None:
                parts = torch.split(memory[:, : piece.shape[1]], 1)
                state = tuple(x.contiguous() for x in parts) if len(parts) > 1 else parts[0]
            output, final = layer(piece, state)
            outputs.append(output)
            memory = torch.cat(final) if self.cell == "lstm" else final
            going_on = pieces[index + 1].shape[1] if index + 1 < len(pieces) else 0
            ended.append(memory[:, going_on:])
        return outputs, torch.cat(ended[::-1], dim=1)

    def prepare(self, precision: str) -> None:
        """Lays the weights out for steps, for good; `run` is then a loop over steps."""
        self._prepared = self._steps(precision)

    @property
    def prepared(self) -> bool:
        """Whether sources are better read by steps."""
        return self._prepared is not None

    @property
    def steps(self) -> Steps:
        """Steps by the weights as they are, or as they were prepared."""
        if self._prepared is not None:
            return self._prepared
        products = [
            (partial(F.linear, weight=w, bias=w_bias), partial(F.linear, weight=u, bias=u_bias))
            for w, u, w_bias, u_bias in map(_weights, self.layers)
        ]
        return Steps(self.cell, products)

    def _steps(self, precision: str) -> Steps:
        products = [
            (make_product(w, w_bias, precision), make_product(u, u_bias, precision))
            for w, u, w_bias, u_bias in map(_weights, self.layers)
        ]
        return Steps(self.cell, products)

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
        self.softmax = nn.Linear(hidden, sizes.target_vocabulary, bias=False)
        self._projection: nn.Module | None = None
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
        if self.encoder.prepared:
            words, rows = torch.unique(tokens, return_inverse=True)
            inputs = self.source_embedding(words)
            before = inputs.new_zeros(self.encoder.planes, len(source), self.softmax.in_features)
            memory = self.encoder.steps.read(inputs, rows, source.lengths, before)
            return EncoderOutput((memory,))
        inputs = self.source_embedding(tokens.t())
        inputs = F.dropout(inputs, self.dropout, self.training)
        return EncoderOutput((self.encoder.run_packed(inputs, source.lengths, self.dropout),))

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """The encoder's memory, and its top hidden state where every step reads it."""
        (memory,) = encoder_output.final
        top = len(self.encoder.layers) - 1
        context = memory[top] if self.config.context == "every-step" else None
        return RecurrentState(memory, context)

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """The layers' hidden states side by side, lowest first, and, for the LSTM, cell states."""
        (memory,) = encoder_output.final
        parts = torch.split(memory.transpose(0, 1), len(self.encoder.layers), dim=1)
        return {n: part.flatten(1) for n, part in zip(("hidden", "cell"), parts, strict=False)}

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
        if self._projection is None:
            logits: torch.Tensor = self.softmax(features)
            return logits
        flat: torch.Tensor = self._projection(features.flatten(0, -2))
        return flat.view(*features.shape[:-1], flat.shape[1])

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """In chunks of rows."""
        return softmax_loss(features, self.softmax.weight, words, smoothing)

    def prepare(self, precision: str) -> None:
        """Packed or int8 weights on CPUs."""
        if self.softmax.weight.device.type == "cpu":
            self.encoder.prepare(precision)
            self.decoder.prepare(precision)
            self._projection = make_product(self.softmax.weight, None, precision)
        else:
            super().prepare(precision)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """One token in each row."""
        assert isinstance(state, RecurrentState)
        if state.context is not None:
            inputs = torch.cat([self.target_embedding(tokens), state.context], dim=1)
            memory = self.decoder.steps.step(inputs, state.memory)
        else:  # rows of a beam or list often read the same word
            words, rows = torch.unique(tokens, return_inverse=True)
            memory = self.decoder.steps.step(self.target_embedding(words), state.memory, rows)
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
