"""The key-value cache of a Transformer's decoder.

Rows of the same sentence form a group, which reads one memory together. The memory has a column for
each word that a row of the group has ever read, and a mask says which columns a row reads. So a
shared prefix is stored and read once, and to repeat, reorder or drop rows only the mask moves.

Letters: B sentences, N rows, G groups of at most R rows, S source length, U columns, H width,
A attention heads, D = H / A. A memory (2, G, A, U, D) has the keys, then the values.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from s2st.data.equal_key_runs import run_positions
from s2st.models.base import DecoderState

GROUP_ROWS = 16  # most rows of a group
FEWEST_COLUMNS = 16  # of a new memory
KEPT_SHARE = 0.75  # with fewer of its groups in use, a cache is copied


@dataclass(frozen=True)
class Rows:
    """The rows of a state, in groups.

    Attributes:
        group: (N,) the group of each row, in ascending order.
        slot: (N,) its place in the group.
        count: G.
        width: R.
        inverse: (G x R,) the row at each place; a place without a row has any row. None if the
            rows fill all places in order.
    """

    group: torch.Tensor
    slot: torch.Tensor
    count: int
    width: int
    inverse: torch.Tensor | None

    @property
    def place(self) -> torch.Tensor:
        """(N,) the place of each row among the G x R places."""
        return self.group * self.width + self.slot

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values (N, ...) of the rows in their groups (G, R, ...); empty places have any values."""
        if self.inverse is not None:
            values = values.index_select(0, self.inverse)
        return values.view(self.count, self.width, *values.shape[1:])

    def back(self, places: torch.Tensor) -> torch.Tensor:
        """(N, ...) the rows of the places (G, R, ...)."""
        flat = places.flatten(0, 1)
        return flat if self.inverse is None else flat.index_select(0, self.place)


def first_rows(count: int, device: torch.device) -> Rows:
    """A row for each of `count` sentences, in order."""
    group = torch.arange(count, device=device)
    return Rows(group, torch.zeros_like(group), count, 1, None)


def bias_of(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores: 0 where the mask is True, else -inf."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)


def rows_of(group: torch.Tensor, slot: torch.Tensor, count: int, width: int) -> Rows:
    """Rows with these groups and slots."""
    inverse = None
    if len(group) < count * width:
        inverse = group.new_zeros(count * width)
        inverse[group * width + slot] = torch.arange(len(group), device=group.device)
    return Rows(group, slot, count, width, inverse)


def grouped(sentences: torch.Tensor, most: int) -> tuple[Rows, torch.Tensor]:
    """Rows in groups of at most `most` neighbors of one sentence, and the groups' sentences.

    Args:
        sentences: (N,) the sentence of each row.
        most: largest number of rows of a group.
    """
    slot = run_positions(sentences) % most
    begins = slot == 0
    width = int(slot.max()) + 1 if len(slot) else 1
    leaders = sentences[begins]
    return rows_of(begins.cumsum(0) - 1, slot, len(leaders), width), leaders


class WordCache:
    """Memories of the words read, which grow in place.

    A state sees the columns that were there when it was made. Two states that share a cache can
    both be stepped: the second one to write gets a copy (`extendable`).

    Attributes:
        memories: (2, G, A, capacity, D) of each layer; empty before the first word.
        used: number of columns written.
    """

    def __init__(self, memories: list[torch.Tensor], used: int = 0) -> None:
        self.memories = memories
        self.used = used

    def extendable(self, used: int) -> "WordCache":
        """A cache with these columns that the next word can be written to."""
        if used == self.used:
            self.used = -1  # it now belongs to the result
            return WordCache(self.memories, used)
        return WordCache([memory[..., :used, :] for memory in self.memories], used)

    def extended(self, layer: int, rows: Rows, words: torch.Tensor) -> torch.Tensor:
        """Writes one word of each row; returns the columns so far.

        Args:
            layer: number of the layer.
            rows: the rows.
            words: (N, 2, A, D) keys and values.

        Returns:
            (2, G, A, U + R, D).
        """
        new = rows.spread(words).permute(2, 0, 3, 1, 4)
        shape = list(new.shape)
        if layer == len(self.memories):
            shape[3] = 0
            self.memories.append(words.new_empty(shape))
        memory, end = self.memories[layer], self.used + rows.width
        if words.requires_grad:
            self.memories[layer] = torch.cat([memory[..., : self.used, :], new], dim=3)
            return self.memories[layer]
        if memory.shape[3] < end:
            shape[3] = max(FEWEST_COLUMNS, end + end // 2)
            grown = words.new_empty(shape)
            grown[..., : self.used, :] = memory[..., : self.used, :]
            self.memories[layer] = memory = grown
        memory[..., self.used : end, :] = new
        return memory[..., :end, :]

    def gathered(
        self, groups: torch.Tensor | None, columns: torch.Tensor | None, used: int
    ) -> "WordCache":
        """A copy with other groups and columns.

        Args:
            groups: (G',) the old group of each new one; None for all, in order.
            columns: (G', U') the old column of each new one; None for the first ones.
            used: number of columns of the result, U'.
        """
        if not self.memories or not used:
            return WordCache([])
        _, count, heads, _, _ = self.memories[0].shape
        device = self.memories[0].device
        if groups is None:
            groups = torch.arange(count, device=device)
        if columns is None:
            columns = torch.arange(used, device=device).expand(len(groups), -1)
        columns = F.pad(columns, (0, FEWEST_COLUMNS))  # room for further words
        sides = torch.arange(2, device=device)[:, None, None] * count
        planes = (sides + groups.unsqueeze(1)) * heads + torch.arange(heads, device=device)
        memories = []
        for memory in self.memories:
            numbers = planes.unsqueeze(3) * memory.shape[3] + columns.unsqueeze(1)
            memories.append(F.embedding(numbers, memory.flatten(0, 3)))
        return WordCache(memories, used)


@dataclass(frozen=True)
class Sources:
    """Keys and values of the sources.

    Attributes:
        memory: (2, G, A, S, D) of each layer.
        mask: (G, 1, 1, S) True at real positions; None if all are real.
        bias: (G, 1, 1, S) 0 at real positions, -inf elsewhere; None if all are real.
    """

    memory: tuple[torch.Tensor, ...]
    mask: torch.Tensor | None
    bias: torch.Tensor | None

    def select(self, groups: torch.Tensor) -> "Sources":
        """The sources of these groups, copied."""
        memory = tuple(part.index_select(1, groups) for part in self.memory)
        if self.mask is None or self.bias is None:
            return Sources(memory, None, None)
        return Sources(memory, self.mask.index_select(0, groups), self.bias.index_select(0, groups))


@dataclass(frozen=True)
class TransformerState(DecoderState):
    """The words read so far, and the sources.

    Attributes:
        rows: the rows in groups.
        words: number of words that each row has read.
        cache: their keys and values.
        columns: number of columns of the cache that belong to this state, U.
        reads: (N, U) which columns each row reads; None for all.
        limit: number of columns above which unread ones are dropped.
        sources: None in a language model.
    """

    rows: Rows
    words: int
    cache: WordCache
    columns: int = 0
    reads: torch.Tensor | None = None
    limit: int = 2 * FEWEST_COLUMNS
    sources: Sources | None = None

    def select(self, rows: torch.Tensor) -> "TransformerState":
        """A new state with these rows. At times, what no row reads is dropped from the cache."""
        group = self.rows.group.index_select(0, rows)
        slot = run_positions(group)
        leaders = group[slot == 0]
        width = int(slot.max()) + 1 if len(rows) else 1
        reads = self.reads
        if reads is not None:
            reads = reads.index_select(0, rows)
        elif width > 1:
            reads = torch.ones((len(rows), self.columns), dtype=torch.bool, device=rows.device)
        ordered = bool((leaders[1:] > leaders[:-1]).all())
        crowded = width > GROUP_ROWS or len(leaders) < KEPT_SHARE * self.rows.count
        after = replace(self, reads=reads)
        if not ordered or crowded:
            return after.regrouped(*grouped(group, GROUP_ROWS))
        made = rows_of(group, slot, self.rows.count, width)
        if reads is not None and self.columns > self.limit:
            return after.regrouped(made, None)
        return replace(after, rows=made)

    def regrouped(self, rows: Rows, groups: torch.Tensor | None) -> "TransformerState":
        """The state with a copy of the cache, without columns that no row reads.

        Args:
            rows: the new rows; `reads` is already theirs.
            groups: (G',) the old group of each new one; None for all, in order.
        """
        columns, reads, used = None, self.reads, self.columns
        if reads is not None:
            live = reads.new_zeros((rows.count * rows.width, used))
            live = live.index_copy(0, rows.place, reads).view(rows.count, rows.width, used).any(1)
            used = int(live.sum(1).max()) if rows.count else 0
            columns = live.byte().argsort(dim=1, descending=True, stable=True)[:, :used]
            reads = reads.gather(1, columns.index_select(0, rows.group))
        sources = self.sources
        if sources is not None and groups is not None:
            sources = sources.select(groups)
        cache, limit = self.cache.gathered(groups, columns, used), 2 * used + FEWEST_COLUMNS
        return replace(
            self, rows=rows, cache=cache, columns=used, reads=reads, limit=limit, sources=sources
        )

    def next_reads(self) -> torch.Tensor | None:
        """(N, U + R) `reads` after the next word."""
        if self.reads is None:
            return None
        own = F.one_hot(self.rows.slot, self.rows.width).bool()
        return torch.cat([self.reads, own], dim=1)
