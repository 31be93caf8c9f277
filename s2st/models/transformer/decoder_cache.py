"""The key-value cache of a Transformer's decoder, and attention to it.

Letters: B sentences, N rows, T words read, S source length, H width, M words cached, G groups of R
rows. Keys and values are concatenated in one tensor (..., 2H), called a memory.

The cached words form a tree: hypotheses with a common prefix share its keys and values. A row
stores the numbers of its words in the cache. To repeat, reorder or drop rows, only these numbers
move, and a shared prefix takes its memory once.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from s2st.data.equal_key_runs import run_positions
from s2st.models.base import DecoderState

GROUP_ROWS = 16  # rows of a sentence that read its memory together
CPU_CELLS = 1 << 19  # numbers of a memory that are gathered at once: they fit the CPU's cache
GPU_CELLS = 1 << 27


@dataclass(frozen=True)
class Sources:
    """Keys and values of the sources that the rows attend to.

    Attributes:
        memory: (B, S, 2H) of each layer.
        mask: (B, S) True at real positions.
        rows: (N,) the sentence of each row; None if row i is sentence i.
    """

    memory: tuple[torch.Tensor, ...]
    mask: torch.Tensor
    rows: torch.Tensor | None = None

    def select(self, rows: torch.Tensor) -> "Sources":
        """The sources of these rows."""
        return replace(
            self, rows=rows.clone() if self.rows is None else self.rows.index_select(0, rows)
        )

    def by_row(self) -> "Sources":
        """A copy with one memory per row, in order."""
        if self.rows is None:
            return self
        memory = tuple(part.index_select(0, self.rows) for part in self.memory)
        return Sources(memory, self.mask.index_select(0, self.rows))


@dataclass(frozen=True)
class TransformerState(DecoderState):
    """The words read so far, and the sources.

    Attributes:
        index: (N, T) numbers of the cached words that each row has read, in order.
        memory: (M, 2H) of the cached words, for each layer; empty before the first step.
        sources: None in a language model.
    """

    index: torch.Tensor
    memory: tuple[torch.Tensor, ...] = ()
    sources: Sources | None = None

    def select(self, rows: torch.Tensor) -> "TransformerState":
        """A new state with these rows. A cache twice as large as needed is compacted."""
        index, memory = self.index.index_select(0, rows), self.memory
        if memory and len(memory[0]) > 2 * index.numel():
            kept, index = torch.unique(index, return_inverse=True)
            memory = tuple(part.index_select(0, kept) for part in memory)
        sources = None if self.sources is None else self.sources.select(rows)
        return TransformerState(index, memory, sources)

    def longer(self) -> torch.Tensor:
        """(N, T + 1) the index after a step. The new word of row i has the number M + i."""
        kept = len(self.memory[0]) if self.memory else 0
        new = torch.arange(kept, kept + len(self.index), device=self.index.device)
        return torch.cat([self.index, new.unsqueeze(1)], dim=1)


def attend_words(
    query: torch.Tensor, memory: torch.Tensor, index: torch.Tensor, heads: int
) -> torch.Tensor:
    """Attention of each row to the words that it has read.

    Args:
        query: (N, H).
        memory: (M, 2H).
        index: (N, T).
        heads: attention heads.

    Returns:
        (N, H).
    """
    attended = torch.empty_like(query)
    cells = CPU_CELLS if query.device.type == "cpu" else GPU_CELLS
    rows = max(1, cells // (index.shape[1] * memory.shape[1]))
    for part in (slice(begin, begin + rows) for begin in range(0, len(query), rows)):
        memories = F.embedding(index[part], memory)
        memories = memories.view(*memories.shape[:2], 2, heads, -1)
        keys, values = (side.transpose(1, 2) for side in memories.unbind(2))
        reading = query[part].view(len(memories), heads, 1, -1)
        attended[part] = F.scaled_dot_product_attention(reading, keys, values).flatten(1)
    return attended


@dataclass(frozen=True)
class RowGroups:
    """Groups of neighboring rows of one sentence, which read its memory together.

    Attributes:
        sentences: (G,) the sentence of each group; None if group i is sentence i.
        width: R, places per group; some may be empty.
        place: (N,) the place of each row among the G x R places.
        count: G.
    """

    sentences: torch.Tensor | None
    width: int
    place: torch.Tensor
    count: int

    def sources(self, values: torch.Tensor) -> torch.Tensor:
        """(G, ...) the values of each group's sentence, from values (B, ...)."""
        return values if self.sentences is None else values.index_select(0, self.sentences)

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (N, H) placed in their groups (G, R, H)."""
        places = rows.new_zeros((self.count * self.width, rows.shape[1]))
        return places.index_copy(0, self.place, rows).view(self.count, self.width, rows.shape[1])

    def back(self, places: torch.Tensor) -> torch.Tensor:
        """The inverse of `spread`: rows (N, H) of the places (G, R, H)."""
        return places.flatten(0, 1).index_select(0, self.place)


def group_rows(sources: Sources) -> RowGroups:
    """Groups of the rows of these sources. Adjacent rows of a sentence share a group."""
    count = len(sources.mask)
    rows = sources.rows
    if rows is None:
        return RowGroups(None, 1, torch.arange(count, device=sources.mask.device), count)
    slots = run_positions(rows)
    begins = slots % GROUP_ROWS == 0
    sentences = rows[begins]
    width = min(GROUP_ROWS, int(slots.max()) + 1) if len(rows) else 1
    place = (begins.cumsum(0) - 1) * width + slots % GROUP_ROWS
    every = torch.equal(sentences, torch.arange(count, device=rows.device))
    return RowGroups(None if every else sentences, width, place, len(sentences))
