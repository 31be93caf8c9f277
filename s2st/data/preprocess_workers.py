"""Pairs of lines to numbered words, in this process or in several, in order, in bounded memory.

Words are numbered within a chunk, so that what a worker sends back is small and the words of the
whole corpus are looked up once a chunk instead of once a token.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import numpy.typing as npt

from s2st.process.worker_processes import Workers
from s2st.text.tokenizers import Tokenizer, TokenizerSpec

CHUNK_PAIRS = 2000
Lines = list[tuple[str, ...]]


def growing_index() -> defaultdict[str, int]:
    """A dict that gives every new word the next number, from 0, when it is looked up."""
    return defaultdict(count().__next__)


@dataclass(frozen=True)
class SideTokens:
    """One side of a chunk, sentence after sentence.

    Attributes:
        words: the chunk's different words, in the order of their first use.
        places: of every token, where its word is in `words`.
        lengths: tokens of every sentence.
    """

    words: list[str]
    places: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """Tokenised pairs, and how many were left out for an empty or an over-long side."""

    source: SideTokens
    target: SideTokens
    empty: int
    long: int

    def __len__(self) -> int:
        return len(self.source.lengths)


def tokenize_pairs(
    pairs: Iterable[tuple[str, ...]],
    source: TokenizerSpec,
    target: TokenizerSpec,
    workers: int,
    limit: int | None = None,
) -> Iterator[Chunk]:
    """Yields chunks of tokenised (source, target) pairs in the order of the input.

    With more than one worker, a few chunks a worker are in flight (`worker_processes`).

    Args:
        pairs: lines of text.
        source, target: the tokenisers.
        workers: processes; 1 is this one.
        limit: leave out pairs with an empty side or one of more tokens; None keeps all pairs.
    """
    chunks = _chunks(pairs)
    if workers == 1:
        job = _Job(source, target, limit)
        for chunk in chunks:
            yield job.do(chunk)
        return
    with Workers(workers, _start, (source, target, limit)) as pool:
        yield from pool.map(chunks)


class _Job:
    """What a process does to every chunk."""

    def __init__(self, source: TokenizerSpec, target: TokenizerSpec, limit: int | None) -> None:
        self._source: Tokenizer = source.build()
        self._target: Tokenizer = target.build()
        self._limit = limit

    def do(self, lines: Lines) -> Chunk:
        limit = self._limit
        source, target = _Side(), _Side()
        empty = long = 0
        for pair in lines:
            first, second = self._source.encode(pair[0]), self._target.encode(pair[1])
            if limit is not None:
                if not second or not (first or self._source.absent):
                    empty += 1
                    continue
                if len(first) > limit or len(second) > limit:
                    long += 1
                    continue
            source.add(first)
            target.add(second)
        return Chunk(source.tokens(), target.tokens(), empty, long)


class _Side:
    """One side of a chunk in the making. Words are numbered while they are in the cache."""

    def __init__(self) -> None:
        self._index = growing_index()
        self._places: list[int] = []
        self._lengths: list[int] = []

    def add(self, row: list[str]) -> None:
        self._places.extend(map(self._index.__getitem__, row))
        self._lengths.append(len(row))

    def tokens(self) -> SideTokens:
        places = np.array(self._places, dtype=np.int32)
        return SideTokens(list(self._index), places, np.array(self._lengths, dtype=np.int64))


def _start(
    source: TokenizerSpec, target: TokenizerSpec, limit: int | None
) -> Callable[[Lines], Chunk]:
    """What a worker process does to every chunk."""
    return _Job(source, target, limit).do


def _chunks(pairs: Iterable[tuple[str, ...]]) -> Iterator[Lines]:
    iterator = iter(pairs)
    while chunk := list(islice(iterator, CHUNK_PAIRS)):
        yield chunk
