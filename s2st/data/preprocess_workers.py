"""Parallel tokenization and cleaning of line pairs, in order and in bounded memory.

A chunk numbers its words, so that workers send little data, and the main process looks up each word
once per chunk instead of once per token.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice

import numpy as np
import numpy.typing as npt

from s2st.process.worker_processes import Workers
from s2st.text.tokenizers import Tokenizer, TokenizerSpec
from s2st.text.vector_lines import VectorLine, VectorWords

CHUNK_PAIRS = 2000
CHUNK_NUMBERS = 1 << 22  # of the vectors of a chunk
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

    def only(self, keep: npt.NDArray[np.bool_]) -> "SideTokens":
        """Return the sentences where `keep` is true; `words` can then have unused words."""
        places = self.places[np.repeat(keep, self.lengths)]
        return SideTokens(self.words, places, self.lengths[keep])


@dataclass(frozen=True)
class SideVectors:
    """Vectors of one side of a chunk, sentence after sentence.

    Attributes:
        values: (P, D) float32.
        lengths: number of vectors of every sentence.
    """

    values: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int64]

    def only(self, keep: npt.NDArray[np.bool_]) -> "SideVectors":
        """Return the sentences where `keep` is true."""
        return SideVectors(self.values[np.repeat(keep, self.lengths)], self.lengths[keep])


@dataclass(frozen=True)
class Rules:
    """Which training pairs to keep. The first rule that a pair breaks counts it.

    Attributes:
        max_length: largest number of tokens of a side. An empty side is always skipped.
        max_ratio: largest ratio of the longer side's tokens to the shorter side's.
        drop_copies: skip pairs whose two lines are equal but for white space at their ends.
        hash_pairs: also compute a hash of each pair's lines, to find duplicates.
    """

    max_length: int
    max_ratio: float | None = None
    drop_copies: bool = False
    hash_pairs: bool = False


@dataclass(frozen=True)
class Chunk:
    """Tokenized pairs, and how many pairs were skipped.

    Attributes:
        empty, long: pairs skipped because a side is empty, or is too long.
        ratio, copies: pairs skipped because of the ratio of lengths, or of equal lines.
        hashes: 64-bit hash of the two lines of each kept pair; None without `hash_pairs`.
    """

    source: SideTokens | SideVectors
    target: SideTokens
    empty: int
    long: int
    ratio: int = 0
    copies: int = 0
    hashes: npt.NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.source.lengths)

    def only(self, keep: npt.NDArray[np.bool_]) -> "Chunk":
        """Return the chunk with the pairs where `keep` is true."""
        return replace(self, source=self.source.only(keep), target=self.target.only(keep))


def tokenize_pairs(
    pairs: Iterable[tuple[str, ...]],
    source: TokenizerSpec,
    target: TokenizerSpec,
    workers: int,
    rules: Rules | None = None,
) -> Iterator[Chunk]:
    """Yield chunks of tokenized (source, target) pairs in the order of the input.

    Several workers have a few chunks each in flight (`worker_processes.py`).

    Args:
        pairs: (source, target) lines of text.
        source, target: the tokenizers.
        workers: number of processes; 1 means this process.
        rules: which pairs to keep; None keeps all pairs.
    """
    chunks = _chunks(pairs)
    if workers == 1:
        tokenizer = _ChunkTokenizer(source, target, rules)
        for chunk in chunks:
            yield tokenizer.tokenize(chunk)
        return
    with Workers(workers, _start, (source, target, rules)) as pool:
        yield from pool.map(chunks)


class _ChunkTokenizer:
    """Tokenizes and cleans chunks of pairs in one process."""

    def __init__(self, source: TokenizerSpec, target: TokenizerSpec, rules: Rules | None) -> None:
        self._source: Tokenizer = source.build()
        self._target: Tokenizer = target.build()
        self._rules = rules

    def tokenize(self, lines: Lines) -> Chunk:
        source = _VectorBuilder() if self._source.vector_size else _SideBuilder()
        target = _SideBuilder()
        skipped = dict.fromkeys(("empty", "long", "ratio", "copies"), 0)
        hashes = []
        for pair in lines:
            first, second = self._source.encode(pair[0]), self._target.encode(pair[1])
            if self._rules is not None:
                reason = self._fault(self._rules, pair, len(first), len(second))
                if reason:
                    skipped[reason] += 1
                    continue
                if self._rules.hash_pairs:
                    hashes.append(_hash(pair))
            source.add(first)
            target.add(second)
        hashed = self._rules is not None and self._rules.hash_pairs
        found = np.array(hashes, dtype=np.uint64) if hashed else None
        return Chunk(source.tokens(), target.tokens(), **skipped, hashes=found)

    def _fault(self, rules: Rules, pair: tuple[str, ...], source: int, target: int) -> str:
        """Return the name of the rule that a pair breaks, "" if the pair is kept."""
        absent = self._source.absent
        if not target or not (source or absent):
            return "empty"
        if max(source, target) > rules.max_length:
            return "long"
        limit = None if absent else rules.max_ratio
        if limit is not None and max(source, target) > limit * min(source, target):
            return "ratio"
        return "copies" if rules.drop_copies and pair[0].strip() == pair[1].strip() else ""


def _hash(pair: tuple[str, ...]) -> int:
    """Return a 64-bit hash of the lines of a pair."""
    text = "\n".join(pair).encode("utf-8", "surrogatepass")
    if isinstance(pair[0], VectorLine):
        text += pair[0].values.tobytes()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


class _SideBuilder:
    """Collects one side of a chunk; numbers words at once, while they are in the CPU cache."""

    def __init__(self) -> None:
        self._index = growing_index()
        self._places: list[int] = []
        self._lengths: list[int] = []

    def add(self, row: list[str]) -> None:
        self._places.extend(map(self._index.__getitem__, row))
        self._lengths.append(len(row))

    def __len__(self) -> int:
        return len(self._lengths)

    def tokens(self) -> SideTokens:
        places = np.array(self._places, dtype=np.int32)
        return SideTokens(list(self._index), places, np.array(self._lengths, dtype=np.int64))


class _VectorBuilder:
    """Collects the vectors of a chunk."""

    def __init__(self) -> None:
        self._values: list[npt.NDArray[np.float32]] = []

    def add(self, row: list[str]) -> None:
        assert isinstance(row, VectorWords)
        self._values.append(row.values)

    def tokens(self) -> SideVectors:
        lengths = np.array([len(values) for values in self._values], dtype=np.int64)
        joined = np.concatenate(self._values) if self._values else np.zeros((0, 1), np.float32)
        return SideVectors(joined, lengths)


def _start(
    source: TokenizerSpec, target: TokenizerSpec, rules: Rules | None
) -> Callable[[Lines], Chunk]:
    """Return the function that a worker process applies to every chunk."""
    return _ChunkTokenizer(source, target, rules).tokenize


def _chunks(pairs: Iterable[tuple[str, ...]]) -> Iterator[Lines]:
    iterator = iter(pairs)
    first = next(iterator, None)
    if first is None:
        return
    most = CHUNK_PAIRS
    if isinstance(first[0], VectorLine):  # bounded memory: vectors take more than words
        most = max(1, min(most, CHUNK_NUMBERS // max(1, first[0].values.size)))
    iterator = chain([first], iterator)
    while chunk := list(islice(iterator, most)):
        yield chunk
