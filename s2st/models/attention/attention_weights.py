"""Attention of a recurrent decoder to the source, with three score functions.

Letters: B sentences, Q queries per sentence, N rows of a search, S source positions, H width, E
width of the encoder (mostly H), K heads of width H / K. The score of a query s and a source state h
is (for each head: of its part)
    dot       s . h
    general   s . (W h)                        (both: Luong et al. 2015, section 3.1)
    additive  v . tanh(U s + W h)              (Bahdanau et al. 2015, section A.1.2)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from s2st.data.equal_key_runs import run_positions
from s2st.errors import UsageError
from s2st.models.attention.additive_scores import additive_scores
from s2st.models.attention_record import note
from s2st.models.packed.packed_linear import PreparedLinear
from s2st.models.softmax.chunked_loss import at_least_float32


@dataclass(frozen=True)
class AttendedSource:
    """The tensors of B sources that attention reads.

    Attributes:
        keys: (B, S, H) that queries are compared with.
        values: (B, S, E) that are averaged: the encoder's states.
        mask: (B, S) True at real positions.
    """

    keys: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor

    def __len__(self) -> int:
        return len(self.mask)

    def select(self, sentences: torch.Tensor) -> "AttendedSource":
        """A copy with these sentences only."""
        keys = self.keys.index_select(0, sentences)
        same = self.values is self.keys
        values = keys if same else self.values.index_select(0, sentences)
        return AttendedSource(keys, values, self.mask.index_select(0, sentences))


class SourceAttention(nn.Module):
    """Weights source positions by a query and returns the weighted mean of their states.

    Args:
        kind: "additive", "dot" or "general".
        width: H.
        heads: K; each head weights the positions by its own part of the width.
        encoder_width: E; None for H.
        bias: whether the product with the query of additive attention has a bias.

    Raises:
        UsageError: K does not divide H and E, or the kind needs E = H.
    """

    def __init__(
        self,
        kind: str,
        width: int,
        heads: int,
        encoder_width: int | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        states = encoder_width or width
        for option, size in (("--hidden-size", width), ("--encoder-hidden-size", states)):
            if size % heads:
                raise UsageError(
                    f"--attention-heads {heads} does not divide {option} {size} evenly"
                )
        if kind == "dot" and states != width:
            raise UsageError(
                f"--attention dot needs --encoder-hidden-size {width}, as --hidden-size; use "
                "--attention general"
            )
        self.kind = kind
        self.heads = heads
        if kind != "dot":
            self.of_state = nn.Linear(states, width, bias=False)
        if kind == "additive":
            self.of_query = PreparedLinear(width, width, bias=bias)
            self.vector = nn.Parameter(torch.empty(width))
            bound = (heads / width) ** 0.5  # the bound of an nn.Linear with width / heads inputs
            nn.init.uniform_(self.vector, -bound, bound)

    def source(self, states: torch.Tensor, mask: torch.Tensor) -> AttendedSource:
        """The keys and values of the encoder's states (B, S, E) with their mask (B, S)."""
        keys = states if self.kind == "dot" else self.of_state(states)
        return AttendedSource(keys, states, mask)

    def forward(
        self, queries: torch.Tensor, source: AttendedSource
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Contexts (B, Q, E) and weights (B, K, Q, S) of queries (B, Q, H).

        Weights are in at least float32 and exactly 0 at padding.
        """
        scores = at_least_float32(self._scores(queries, source.keys))
        scores = scores.masked_fill(~source.mask[:, None, None], -torch.inf)
        weights = scores.softmax(dim=-1)
        note(self, weights)
        values = self._by_head(source.values)
        contexts = torch.matmul(weights.to(values.dtype), values)
        return contexts.transpose(1, 2).flatten(2), weights

    def rows(
        self, queries: torch.Tensor, source: AttendedSource, sentences: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Contexts (N, E) and weights (N, S), averaged over the heads, of queries (N, H).

        Args:
            sentences: (N,) the sentence of each row; None if row i is sentence i.
        """
        if sentences is None:
            contexts, weights = self(queries.unsqueeze(1), source)
            return contexts.squeeze(1), weights.mean(dim=1).squeeze(1)
        count, width = source.mask.shape
        all_contexts = queries.new_empty(len(queries), source.values.shape[2])
        all_weights = at_least_float32(queries.new_empty(len(queries), width))
        for band in _bands(sentences, count):
            grid = queries.new_zeros(len(band.sentences), band.width, queries.shape[1])
            grid[band.places, band.slots] = queries[band.rows]
            part = source if len(band.sentences) == count else source.select(band.sentences)
            contexts, weights = self(grid, part)
            all_contexts[band.rows] = contexts[band.places, band.slots].to(queries.dtype)
            all_weights[band.rows] = weights.mean(dim=1)[band.places, band.slots]
        return all_contexts, all_weights

    def prepare(self, precision: str) -> None:
        """Packs the weights that every step multiplies."""
        if self.kind == "additive":
            self.of_query.prepare(precision)

    def _scores(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(B, K, Q, S)."""
        if self.kind == "additive":
            # column k of the matrix (H, K) holds head k's part of v, and zeros elsewhere
            selector = torch.eye(self.heads, dtype=self.vector.dtype, device=self.vector.device)
            selector = selector.repeat_interleave(len(self.vector) // self.heads, dim=0)
            parts = selector * self.vector.unsqueeze(1)
            return additive_scores(self.of_query(queries), keys, parts).permute(0, 3, 1, 2)
        return torch.matmul(self._by_head(queries), self._by_head(keys).transpose(2, 3))

    def _by_head(self, states: torch.Tensor) -> torch.Tensor:
        """View of (B, S, H) as (B, K, S, H / K)."""
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)


@dataclass(frozen=True)
class _Band:
    """Some rows of a search, placed in a grid: one line per sentence, one slot per row.

    Attributes:
        rows: numbers of the rows.
        sentences: the sentence of each line of the grid.
        places, slots: the line and the slot of each row.
        width: slots per line.
    """

    rows: torch.Tensor
    sentences: torch.Tensor
    places: torch.Tensor
    slots: torch.Tensor
    width: int


def _bands(sentences: torch.Tensor, count: int) -> Iterator[_Band]:
    """All rows (N,) of `count` sentences, in grids of fewer than about 3 N + `count` cells.

    A grid multiplies all rows of a sentence with its states at once. Copying the states for each
    row would cost more than the products. The first grid has all sentences.
    """
    if not len(sentences):
        return
    order = sentences.argsort(stable=True)
    sorted_sentences = sentences[order]
    slots = run_positions(sorted_sentences)
    most = int(slots.max()) + 1
    wide = -(-2 * len(sentences) // count)
    for begin in range(0, most, wide):
        width = min(wide, most - begin)
        band_sentences = torch.arange(count, device=order.device)
        rows, places, columns = order, sorted_sentences, slots
        if width < most:
            inside = (slots >= begin) & (slots < begin + width)
            rows, columns = order[inside], slots[inside] - begin
            if begin:
                band_sentences = sorted_sentences[slots == begin]
            places = torch.searchsorted(band_sentences, sorted_sentences[inside])
        yield _Band(rows, band_sentences, places, columns, width)
