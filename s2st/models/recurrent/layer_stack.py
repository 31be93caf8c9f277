"""A stack of recurrent layers. The docstring of the package says which path runs when."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from s2st.data.batch import moved
from s2st.models.dropout import dropped
from s2st.models.packed.packed_linear import make_product
from s2st.models.recurrent.bfloat16_layer import (
    MOST_WORDS,
    autocasts,
    multiplies_in_bfloat16,
)
from s2st.models.recurrent.cell_formulas import CELLS, UNFUSED
from s2st.models.recurrent.layer_runs import (
    FEWEST_TIMES,
    State,
    bfloat16_stretches,
    run_layer,
    run_positions,
    words_in_stretches,
)
from s2st.models.recurrent.packed_positions import can_share, worth_sharing
from s2st.models.recurrent.token_steps import Steps, top_of
from s2st.models.recurrent.unfused_layer import (
    LayerParts,
    MakeProduct,
    NormedLayer,
    layer_parts,
    plain_product,
)


@dataclass(frozen=True)
class StackDesign:
    """Variations of a stack.

    Attributes:
        residual: layers from the second on add their input (before dropout) to their output
            (Wu et al. 2016, section 3.1).
        layer_norm: the cells have layer normalization (see `cell_formulas.py`).
        recurrent_dropout: probability that the recurrent weights read an element of the hidden
            state as 0 in training. Each sentence and layer has one mask for all positions and all
            gates (Gal & Ghahramani 2016, with tied gates). The LSTM's cell state, and the state
            that a GRU carries over, are not dropped.
    """

    residual: bool = False
    layer_norm: bool = False
    recurrent_dropout: float = 0.0


PLAIN = StackDesign()


class Stack(nn.Module):
    """Recurrent layers with dropout between them.

    Each layer is an `nn.RNNBase` of one layer, or a `NormedLayer`. Dropout between them is
    `dropped`: it draws from torch's own generator, so that a resumed run repeats the draws.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        layers: int,
        design: StackDesign = PLAIN,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.design = design
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.layers = nn.ModuleList(
            NormedLayer(cell, size, hidden_size)
            if design.layer_norm
            else CELLS[cell](size, hidden_size)
            for size in sizes
        )
        self._prepared: Steps | None = None

    def part(self, first: int, end: int) -> "Stack":
        """A stack that shares the layers from `first` to before `end`.

        The stack must not be residual: the first layer of a part does not add its input.
        """
        part = Stack(self.cell, 1, 1, 1, replace(self.design, residual=False))
        part.layers = self.layers[first:end]
        return part

    @property
    def planes(self) -> int:
        """First dimension of a memory: hidden states, then, for the LSTM, cell states."""
        return len(self.layers) * (2 if self.cell == "lstm" else 1)

    def top(self, memory: torch.Tensor) -> torch.Tensor:
        """(N, H) the top layer's output without dropout, computed from the memory (P, N, H)."""
        return top_of(memory, len(self.layers), self.design.residual)

    def shares_words(self, table: torch.Tensor) -> bool:
        """Whether the first layer can read distinct words of this embedding table."""
        if self.cell in ("rnn", *UNFUSED) or self._loops or self.prepared:
            return False
        return can_share(table) or autocasts(table)

    def worth_sharing(self, rows: torch.Tensor, words: int) -> bool:
        """Whether that takes less time for rows (T, B) of this many distinct words."""
        if torch.is_autocast_enabled("cpu"):
            return words < MOST_WORDS * rows.numel()
        if self.cell == "gru" and len(rows) >= FEWEST_TIMES:
            return words < rows.numel()
        weight = self.layers[0].get_parameter("weight_ih_l0")
        return worth_sharing(rows.numel(), words, len(rows), weight)

    def run(
        self,
        inputs: torch.Tensor,
        memory: torch.Tensor | None,
        dropout: float,
        rows: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs over all positions.

        Args:
            inputs: (T, B, E), time first; with `rows`, (U, E) distinct inputs.
            memory: (P, B, H) before the first position; None for zeros.
            dropout: probability, between the layers.
            rows: (T, B) the input that each position reads: see `word_inputs.py`.

        Returns:
            (T, B, H) top states, and the memory after the last position.
        """
        if self._prepared is not None and memory is not None:
            return self._prepared.run(inputs, memory)
        hiddens: list[torch.Tensor] = []
        cells: list[torch.Tensor] = []
        for index, layer in enumerate(self.layers):
            state = self._layer_memory(memory, index)
            if not index and rows is not None:
                outputs, final = run_positions(
                    self.cell, layer, inputs, rows.flatten(), rows.shape, state
                )
            else:
                read = dropped(inputs, dropout, self.training) if index else inputs
                outputs, final = run_layer(self.cell, layer, read, state, self._mask(read))
            inputs = outputs + inputs if index and self.design.residual else outputs
            planes = final if isinstance(final, tuple) else (final,)
            hiddens.append(planes[0])
            cells += planes[1:]
        return inputs, torch.cat(hiddens + cells)

    def run_packed(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        dropout: float,
        rows: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Runs over padded inputs (S, B, E); returns the memory after each last token.

        With `rows`, the inputs are those of `run`.
        """
        if self._in_stretches(inputs):
            return self._run_stretches(inputs, lengths, dropout, rows)[1]
        return self._run_sequence(inputs, lengths, dropout)[1]

    def run_padded(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        dropout: float,
        rows: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Like `run_packed`, but also returns the top states (S, B, H); padding gets zeros."""
        if not self._in_stretches(inputs):
            packed, memory, order = self._run_sequence(inputs, lengths, dropout)
            outputs = pad_packed_sequence(packed, total_length=len(inputs))[0]
            return outputs.index_select(1, order), memory
        pieces, memory = self._run_stretches(inputs, lengths, dropout, rows)
        size, times = len(lengths), len(inputs if rows is None else rows)
        outputs = torch.cat([F.pad(piece, (0, 0, 0, size - piece.shape[1])) for piece in pieces])
        outputs = F.pad(outputs, (0, 0, 0, 0, 0, times - len(outputs)))
        order = _longest_first(lengths).argsort().to(inputs.device)
        return outputs.index_select(1, order), memory

    def read(
        self,
        inputs: torch.Tensor,
        rows: torch.Tensor,
        lengths: torch.Tensor,
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The memory after the last token of every sentence, by token steps: see `Steps.read`."""
        width = self.layers[0].get_parameter("weight_hh_l0").shape[1]
        before = inputs.new_zeros(self.planes, len(lengths), width)
        return self.steps.read(inputs, rows, lengths, before, states)

    def _run_sequence(
        self, inputs: torch.Tensor, lengths: torch.Tensor, dropout: float
    ) -> tuple[PackedSequence, torch.Tensor, torch.Tensor]:
        """`run_padded` with a packed sequence, which cuDNN runs without padding.

        Sentences are sorted here, because torch's own sorting would wait for the GPU.

        Returns:
            The top states of the sorted sentences; the memory (P, B, H) in the order of the batch;
            and (B,) the place of each sentence of the batch among the sorted ones.
        """
        longest_first = _longest_first(lengths)
        order = moved(longest_first.argsort(), inputs.device)
        inputs = inputs.index_select(1, moved(longest_first, inputs.device))
        packed = pack_padded_sequence(inputs, lengths[longest_first])
        hiddens, cells = [], []
        for index, layer in enumerate(self.layers):
            read = packed
            if index:
                read = PackedSequence(dropped(packed.data, dropout, self.training), *packed[1:])
            outputs, final = layer(read)
            if index and self.design.residual:
                outputs = PackedSequence(outputs.data + packed.data, *outputs[1:])
            packed = outputs
            hiddens.append(final[0] if self.cell == "lstm" else final)
            if self.cell == "lstm":
                cells.append(final[1])
        return packed, torch.cat(hiddens + cells).index_select(1, order), order

    def _run_stretches(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        dropout: float,
        rows: torch.Tensor | None = None,
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """`run_padded` in stretches of time: torch's fused CPU layer takes no packed sequence.

        Sentences are sorted, longest first. A stretch is the time between two ends of sentences.

        Returns:
            The top states of each stretch, with the sorted sentences that are still open; and the
            memory (P, B, H) in the order of the batch.
        """
        order = _longest_first(lengths)
        pieces = _stretches(
            (inputs if rows is None else rows).index_select(1, order.to(inputs.device)), lengths
        )
        finals = []
        for index, layer in enumerate(self.layers):
            if not index and rows is not None:
                outputs, final = words_in_stretches(self.cell, layer, inputs, pieces)
            else:
                read = pieces
                if index:
                    read = [dropped(piece, dropout, self.training) for piece in pieces]
                outputs, final = self._layer_stretches(layer, read)
            if index and self.design.residual:
                outputs = [output + piece for output, piece in zip(outputs, pieces, strict=True)]
            pieces = outputs
            finals.append(final)
        memory = torch.cat([final[:1] for final in finals] + [final[1:] for final in finals])
        return pieces, memory.index_select(1, order.argsort().to(inputs.device))

    def _layer_stretches(
        self, layer: nn.Module, pieces: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """One layer's outputs, and each sentence's last hidden and cell state (1 or 2, B, H)."""
        steps = sum(len(piece) for piece in pieces)
        if not self._loops and multiplies_in_bfloat16(layer, steps):
            return bfloat16_stretches(self.cell, layer, pieces)
        outputs, ended = [], []
        memory: torch.Tensor | None = None
        state: State | None = None
        mask = self._mask(pieces[0])  # all sentences are in the first stretch
        for index, piece in enumerate(pieces):
            if memory is not None:
                parts = torch.split(memory[:, : piece.shape[1]], 1)
                state = tuple(x.contiguous() for x in parts) if len(parts) > 1 else parts[0]
            piece_mask = None if mask is None else mask[: piece.shape[1]]
            output, final = run_layer(self.cell, layer, piece, state, piece_mask)
            outputs.append(output)
            memory = torch.cat(final) if isinstance(final, tuple) else final
            going_on = pieces[index + 1].shape[1] if index + 1 < len(pieces) else 0
            ended.append(memory[:, going_on:])
        return outputs, torch.cat(ended[::-1], dim=1)

    def _in_stretches(self, inputs: torch.Tensor) -> bool:
        """Whether sources run in stretches of time; if not, they run as a packed sequence."""
        return inputs.device.type == "cpu" or self._loops

    @property
    def _loops(self) -> bool:
        """Whether the layers run as a loop over time (`run_loop`)."""
        return self.design.layer_norm or self._drops or self.cell in UNFUSED

    @property
    def _drops(self) -> bool:
        """Whether recurrent dropout is active."""
        return self.training and self.design.recurrent_dropout > 0

    def _mask(self, inputs: torch.Tensor) -> torch.Tensor | None:
        """(N, H) a layer's mask of recurrent dropout for inputs (T, N, E); None without dropout."""
        if not self._drops:
            return None
        width = self.layers[0].get_parameter("weight_hh_l0").shape[1]
        return dropped(inputs.new_ones(inputs.shape[1], width), self.design.recurrent_dropout, True)

    def prepare(self, precision: str) -> None:
        """Packs the weights for token steps, permanently; `run` is then a loop over token steps."""
        self._prepared = self._steps(lambda weight, bias: make_product(weight, bias, precision))

    @property
    def prepared(self) -> bool:
        """Whether the weights are packed, so that `read` is the fastest way to encode sources."""
        return self._prepared is not None

    @property
    def steps(self) -> Steps:
        """Token steps with the packed weights, or with the plain ones if nothing was packed."""
        if self._prepared is not None:
            return self._prepared
        return self._steps(plain_product)

    def _steps(self, make: MakeProduct) -> Steps:
        parts: list[LayerParts] = [layer_parts(layer, make) for layer in self.layers]
        products = [(part.of_input, part.of_state) for part in parts]
        return Steps(self.cell, products, [part.norm for part in parts], self.design.residual)

    def _layer_memory(self, memory: torch.Tensor | None, index: int) -> State | None:
        if memory is None:
            return None
        hidden = memory[index : index + 1].contiguous()
        if self.cell != "lstm":
            return hidden
        count = len(self.layers)
        return hidden, memory[count + index : count + index + 1].contiguous()


def _stretches(values: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
    """The values of each stretch, of values (S, B, ...) with the longest sentences first."""
    pieces, start = [], 0
    for end in torch.unique(lengths).tolist():
        pieces.append(values[start:end, : int((lengths >= end).sum())])
        start = end
    return pieces


def _longest_first(lengths: torch.Tensor) -> torch.Tensor:
    """(B,) the rows, longest sentence first."""
    return lengths.argsort(descending=True, stable=True)
