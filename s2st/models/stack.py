"""Recurrent layers one above the other, over whole sequences (training) or by steps (search)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from s2st.models.cells import CELLS
from s2st.models.products import make_product
from s2st.models.stepping import Steps


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

    def part(self, first: int, end: int) -> "Stack":
        """A stack of these layers themselves, from `first` to before `end`."""
        part = Stack(self.cell, 1, 1, 1)
        part.layers = self.layers[first:end]
        return part

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
            return self._run_stretches(inputs, lengths, dropout)[1]
        return self._run_sequence(inputs, lengths, dropout)[1]

    def run_padded(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `run_packed`, with the top states (S, B, H), zero where the input is padding."""
        if inputs.device.type != "cpu":
            packed, memory = self._run_sequence(inputs, lengths, dropout)
            return pad_packed_sequence(packed, total_length=len(inputs))[0], memory
        pieces, memory = self._run_stretches(inputs, lengths, dropout)
        size = len(lengths)
        outputs = torch.cat([F.pad(piece, (0, 0, 0, size - piece.shape[1])) for piece in pieces])
        outputs = F.pad(outputs, (0, 0, 0, 0, 0, len(inputs) - len(outputs)))
        return outputs.index_select(1, _longest_first(lengths).argsort()), memory

    def _run_sequence(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> tuple[PackedSequence, torch.Tensor]:
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
        return packed, torch.cat(hiddens + cells)

    def _run_stretches(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """As `run_packed`, without packing: torch's fused layer on CPUs does not take it.

        Longest sentence first, each stretch of time in which no sentence ends is run by itself.
        The stretches' top states come first, in that order.
        """
        order = _longest_first(lengths)
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
        return pieces, memory.index_select(1, order.argsort())

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


def _longest_first(lengths: torch.Tensor) -> torch.Tensor:
    """(B,) the order of the sentences in stretches."""
    return lengths.argsort(descending=True, stable=True)


def _weights(layer: nn.Module) -> tuple[torch.Tensor, ...]:
    """Weights of input and state, and biases of input and state, of one layer."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return tuple(layer.get_parameter(name) for name in names)
