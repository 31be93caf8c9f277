"""Recurrent layers one token at a time, without gradients: decoding, and scoring on CPUs.

Letters: N rows, U distinct inputs, E input width, H width, S positions, P planes of a memory (the
layers' hidden states, then, for the LSTM, their cell states).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from s2st.models.recurrent.cell_formulas import STEPS, Norm

STEP_ROWS = 512  # rows computed together, few enough for their gates to stay in the cache
Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Steps:
    """Token steps of a stack of layers, without dropout.

    Attributes:
        cell: "lstm", "gru", "rnn" or "rnn-sigmoid".
        products: for each layer, its product with the input and its product with the state.
        norms: for each layer, the norm inside its cell (see `cell_formulas.py`), or None.
        residual: whether layers from the second on add their input to their output.
    """

    cell: str
    products: Sequence[tuple[Product, Product]]
    norms: Sequence[Norm | None]
    residual: bool = False

    def top(self, memory: torch.Tensor) -> torch.Tensor:
        """(N, H) the top layer's output, computed from the memory (P, N, H) after a step."""
        return top_of(memory, len(self.products), self.residual)

    def step(
        self, inputs: torch.Tensor, memory: torch.Tensor, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One step of every layer.

        Args:
            inputs: (N, E); with `rows`, (U, E) distinct inputs, each multiplied once.
            memory: (P, N, H) before the step.
            rows: (N,) the input that each row reads.

        Returns:
            (P, N, H) the memory after the step.
        """
        after = torch.empty_like(memory)
        self._step(self.products[0][0](inputs), rows, memory, after)
        return after

    def run(self, inputs: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Top states (T, N, H) of inputs (T, N, E), and the memory after the last input."""
        tops = []
        for column in inputs:
            memory = self.step(column, memory)
            tops.append(self.top(memory))
        return torch.stack(tops), memory

    def read(
        self,
        inputs: torch.Tensor,
        rows: torch.Tensor,
        lengths: torch.Tensor,
        memory: torch.Tensor,
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The memory after the last token of every sentence.

        Args:
            inputs: (U, E) distinct inputs.
            rows: (N, S) the input that each position of each sentence reads.
            lengths: (N,) tokens of each sentence, on the CPU.
            memory: (P, N, H) before the first token.
            states: (N, S, H) zeros, which `read` fills with the top layer's outputs; or None.
        """
        order = lengths.argsort(descending=True, stable=True)
        rows = rows[order.to(rows.device)].t()
        first = self.products[0][0](inputs)
        memory = memory[:, order.to(memory.device)]
        positions = torch.arange(int(lengths.max()))
        counts = (lengths.unsqueeze(1) > positions).sum(dim=0).tolist()
        for position, (column, open_rows) in enumerate(zip(rows, counts, strict=False)):
            part = memory[:, :open_rows]  # longest sentences first: the others have ended
            self._step(first, column[:open_rows], part, part)
            if states is not None:
                states[order[:open_rows].to(states.device), position] = self.top(part)
        result = torch.empty_like(memory)
        result[:, order.to(memory.device)] = memory
        return result

    def _step(
        self,
        first: torch.Tensor,
        rows: torch.Tensor | None,
        before: torch.Tensor,
        after: torch.Tensor,
    ) -> None:
        """Writes the memory after a step into `after`, which may be the tensor `before`.

        Args:
            first: (N, G) the first layer's products with its inputs, which this call may
                overwrite; with `rows`, (U, G).
        """
        count = before.shape[1]
        for begin in range(0, count, STEP_ROWS):
            part = slice(begin, min(count, begin + STEP_ROWS))
            gates = first[part] if rows is None else first.index_select(0, rows[part])
            self._step_rows(gates, before[:, part], after[:, part])

    def _step_rows(self, gates: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> None:
        count = len(self.products)
        given: torch.Tensor | None = None  # the output of the layer below
        for index, (of_input, of_state) in enumerate(self.products):
            if given is not None:
                gates = of_input(given)
            planes = range(index, len(before), count)
            recurrent = of_state(before[index])
            STEPS[self.cell](
                gates,
                recurrent,
                [before[p] for p in planes],
                [after[p] for p in planes],
                self.norms[index],
            )
            hidden = after[index]
            given = hidden if given is None or not self.residual else given + hidden


def top_of(memory: torch.Tensor, layers: int, residual: bool) -> torch.Tensor:
    """(N, H) the top layer's output without dropout, computed from the memory (P, N, H).

    With residual layers it is the sum of all hidden states: unroll x_l = h_l + x_{l-1}.
    """
    return memory[:layers].sum(dim=0) if residual else memory[layers - 1]
