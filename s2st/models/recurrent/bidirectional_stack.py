"""Bidirectional recurrent layers of an encoder.

Letters: S positions, B sentences, E input width, H width of both directions together, P planes.
"""

import torch
from torch import nn

from s2st.data.batch import moved
from s2st.errors import UsageError
from s2st.models.dropout import dropped
from s2st.models.recurrent.layer_stack import PLAIN, Stack, StackDesign
from s2st.models.recurrent.token_steps import top_of


class BidirectionalStack(nn.Module):
    """Layers of a forward and a backward half, each of H / 2 cells (Schuster & Paliwal 1997).

    At each position a layer reads the concatenated outputs of both halves of the layer below. The
    memory of a sentence concatenates the forward half's state after the last token and the
    backward half's state after the first. Its shape is that of a `Stack` of H cells.

    Raises:
        UsageError: H is odd.
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
        if hidden_size % 2:
            raise UsageError(
                f"--bidirectional: each direction has half of the cells, so --hidden-size "
                f"{hidden_size} must be even"
            )
        self.design = design
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.half_size = hidden_size // 2
        self.forwards, self.backwards = (
            nn.ModuleList(Stack(cell, size, self.half_size, 1, design) for size in sizes)
            for _ in range(2)
        )

    @property
    def _halves(self) -> list[tuple[Stack, Stack]]:
        """Each layer's forward and backward half, lowest first."""
        pairs = zip(self.forwards, self.backwards, strict=True)
        return [(first, second) for first, second in pairs]  # type: ignore[misc]

    @property
    def prepared(self) -> bool:
        """Whether the weights are packed, so that `read` is the fastest way to encode sources."""
        return self._halves[0][0].prepared

    def prepare(self, precision: str) -> None:
        """Packs the weights for token steps, permanently."""
        for halves in self._halves:
            for half in halves:
                half.prepare(precision)

    def top(self, memory: torch.Tensor) -> torch.Tensor:
        """(B, H) the top layer's output after each half's last step, from the memory (P, B, H)."""
        return top_of(memory, len(self.forwards), self.design.residual)

    def shares_words(self, table: torch.Tensor) -> bool:
        """Whether the first layer can read distinct words: see `Stack.shares_words`."""
        return self._halves[0][0].shares_words(table)

    def worth_sharing(self, rows: torch.Tensor, words: int) -> bool:
        """Whether that takes less time for rows (T, B) of this many distinct words."""
        return self._halves[0][0].worth_sharing(rows, words)

    def run_packed(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        dropout: float,
        rows: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Runs over padded inputs (S, B, E), time first; returns the memory (P, B, H).

        With `rows` (S, B), the inputs are the (U, E) distinct ones that the positions read.
        """
        return self.run_padded(inputs, lengths, dropout, rows)[1]

    def run_padded(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        dropout: float,
        rows: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Like `run_packed`, but also returns the top states (S, B, H)."""
        width = len(inputs if rows is None else rows)
        index = moved(_reversed_places(lengths, width).t(), inputs.device)
        memories = []
        for level, halves in enumerate(self._halves):
            if not level and rows is not None:
                ahead, first = halves[0].run_padded(inputs, lengths, dropout, rows)
                turned = rows.gather(0, index)
                back, second = halves[1].run_padded(inputs, lengths, dropout, turned)
            else:
                read = dropped(inputs, dropout, self.training) if level else inputs
                ahead, first = halves[0].run_padded(read, lengths, dropout)
                back, second = halves[1].run_padded(_picked(read, index), lengths, dropout)
            outputs = torch.cat([ahead, _picked(back, index)], dim=2)
            inputs = outputs + inputs if level and self.design.residual else outputs
            memories.append(torch.cat([first, second], dim=2))
        return inputs, _planes(memories)

    def read(self, inputs: torch.Tensor, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The memory (P, B, H), by token steps.

        Args:
            inputs: (U, E) distinct inputs.
            rows: (B, S) the input that each position of each sentence reads.
            lengths: (B,) on the CPU.
        """
        index = _reversed_places(lengths, rows.shape[1]).to(rows.device)
        memories = []
        for level, halves in enumerate(self._halves):
            directions = rows, rows.gather(1, index)
            top = level == len(self.forwards) - 1
            shape = (*rows.shape, self.half_size)
            states = [None if top else inputs.new_zeros(shape) for _ in halves]
            ends = [
                half.read(inputs, order, lengths, state)
                for half, order, state in zip(halves, directions, states, strict=True)
            ]
            memories.append(torch.cat(ends, dim=2))
            ahead, back = states
            if ahead is None or back is None:
                break
            back = back.gather(1, index.unsqueeze(2).expand_as(back))
            outputs = torch.cat([ahead, back], dim=2).flatten(0, 1)
            inputs = outputs + inputs[rows.flatten()] if level and self.design.residual else outputs
            rows = torch.arange(len(inputs), device=rows.device).view_as(rows)
        return _planes(memories)


def _reversed_places(lengths: torch.Tensor, width: int) -> torch.Tensor:
    """(B, S) the position of each token when the sentence is read backwards."""
    places = torch.arange(width).unsqueeze(0)
    ends = lengths.unsqueeze(1)
    return torch.where(places < ends, ends - 1 - places, places)


def _picked(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Values (S, B, W), time first, at the positions `index` (S, B) of each sentence."""
    return values.gather(0, index.unsqueeze(2).expand(-1, -1, values.shape[2]))


def _planes(memories: list[torch.Tensor]) -> torch.Tensor:
    """(P, B, H) hidden states of all layers, then their cell states, from each layer's memory."""
    return torch.stack(memories, dim=1).flatten(0, 1)
