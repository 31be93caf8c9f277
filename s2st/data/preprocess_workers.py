"""Parallel tokenization of line pairs for preprocessing, in order and in bounded memory.

A chunk numbers its words, so that workers send little data, and the main process looks up each word
once per chunk instead of once per token.
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
    """Return a dict that assigns the next number, from 0, to each new word that is looked up."""
    return defaultdict(count().__next__)


@dataclass(frozen=True)
class SideTokens:
    """Tokens of one side of a chunk, sentence after sentence.

    Attributes:
        words: the distinct words of the chunk, in order of first use.
        places: index in `words` of every token.
        lengths: number of tokens of every sentence.
    """

    words: list[str]
    places: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """Tokenized pairs, and how many pairs were skipped.

    Attributes:
        empty, long: pairs skipped because a side is empty, or is too long.
    """

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
    """Yield chunks of tokenized (source, target) pairs in the order of the input.

    Several workers have a few chunks each in flight (`worker_processes.py`).

    Args:
        pairs: (source, target) lines of text.
        source, target: the tokenizers.
        workers: number of processes; 1 means this process.
        limit: skip pairs with an empty side or a side of more tokens; None keeps all pairs.
    """
    chunks = _chunks(pairs)
    if workers == 1:
        tokenizer = _ChunkTokenizer(source, target, limit)
        for chunk in chunks:
            yield tokenizer.tokenize(chunk)
        return
    with Workers(workers, _start, (source, target, limit)) as pool:
        yield from pool.map(chunks)


class _ChunkTokenizer:
    """Tokenizes chunks of pairs in one process."""

    def __init__(self, source: TokenizerSpec, target: TokenizerSpec, limit: int | None) -> None:
        self._source: Tokenizer = source.build()
        self._target: Tokenizer = target.build()
        self._limit = limit

    def tokenize(self, lines: Lines) -> Chunk:
        limit = self._limit
        source, target = _SideBuilder(), _SideBuilder()
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


class _SideBuilder:
    """Collects one side of a chunk; numbers words at once, while they are in the CPU cache."""

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
    """Return the function that a worker process applies to every chunk."""
    return _ChunkTokenizer(source, target, limit).tokenize


def _chunks(pairs: Iterable[tuple[str, ...]]) -> Iterator[Lines]:
    iterator = iter(pairs)
    while chunk := list(islice(iterator, CHUNK_PAIRS)):
        yield chunk
