"""Counting n-grams in bounded memory: text to ids on disk, then the distinct n-grams by order.

Here an n-gram's number is its place in suffix order (last word first), and the key of w1 .. wk is
(number of w2 .. wk) x V + w1: one integer, so that sorting keys sorts n-grams, and n-grams that
extend one by a word to the left are neighbours.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError
from s2st.ngram.external_sort import Column, count_keys, mapped
from s2st.ngram.lookup_tables import Keys
from s2st.text.tokenizers import Tokenizer
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID, Vocabulary, mostly_unknown

log = logging.getLogger("s2st")
LINES = 2000  # read together
BYTES_A_POSITION = 80  # while a block of positions is sorted and counted
Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class WordLimits:
    """Which words a model knows: those of `given`, or the `most` most frequent of the text."""

    given: Vocabulary | None = None
    most: int | None = None


@dataclass(frozen=True)
class Counted:
    """The distinct n-grams of one order, in suffix order; of order 1 all words, by id.

    Attributes:
        keys: rising.
        counts: how often each occurs in the text.
    """

    keys: Keys
    counts: Keys


def read_text(
    lines: Iterable[str], tokenizer: Tokenizer, limits: WordLimits, folder: Path
) -> tuple[Tokens, Vocabulary]:
    """Ids of all sentences, each between BOS and EOS, as one array on disk, and the words.

    Words that the vocabulary lacks are UNK, as are those that look like a special token.

    Raises:
        DataError: there are no words.
    """
    index: defaultdict[str, int] = defaultdict(count(len(SPECIALS)).__next__)
    index.update(dict.fromkeys(SPECIALS, UNK_ID))
    column = Column(folder / "tokens", "int32")
    iterator = iter(lines)
    while block := list(islice(iterator, LINES)):
        ids: list[int] = []
        for line in block:
            ids.append(BOS_ID)
            ids.extend(map(index.__getitem__, tokenizer.encode(line)))
            ids.append(EOS_ID)
        column.append(np.array(ids, dtype=np.int32))
    tokens = column.array()
    names = list(index)[len(SPECIALS) :]
    if not names:
        raise DataError("the text has no words to train on")
    vocabulary = limits.given
    if vocabulary is None:
        counts = np.zeros(len(SPECIALS) + len(names), dtype=np.int64)
        for first in range(0, len(tokens), 1 << 20):
            counts += np.bincount(tokens[first : first + (1 << 20)], minlength=len(counts))
        frequencies = dict(zip(names, counts[len(SPECIALS) :].tolist(), strict=True))
        vocabulary = Vocabulary.build(frequencies, limits.most)
    table = np.array([*range(len(SPECIALS)), *vocabulary.encode(names)], dtype=np.int32)
    final = mapped(column.path, "int32", len(tokens), "r+")
    unknown = words = 0
    for first in range(0, len(tokens), 1 << 20):
        part = table[final[first : first + (1 << 20)]]
        final[first : first + (1 << 20)] = part
        unknown += int(np.count_nonzero(part == UNK_ID))
        words += int(np.count_nonzero((part != BOS_ID) & (part != EOS_ID)))
    warning = mostly_unknown(unknown, words, "text's tokens", "the dictionary")
    if limits.given is not None and warning is not None:
        log.warning(warning)
    return final, vocabulary  # type: ignore[return-value]


def count_ngrams(
    tokens: Tokens, words: int, order: int, folder: Path, memory: int
) -> list[Counted]:
    """The distinct n-grams of each order from 1, as arrays on disk.

    Args:
        tokens: as `read_text` gives them.
        words: V, special ones counted.
        order: of the longest n-grams.
        folder: for the arrays.
        memory: bytes for a block at most.
    """
    block = max(1, memory // BYTES_A_POSITION)
    single = np.zeros(words, dtype=np.int64)
    for first in range(0, len(tokens), block):
        single += np.bincount(tokens[first : first + block], minlength=words)
    found = [Counted(np.arange(words), single)]
    positions = _Positions(tokens, words, folder, block)
    for length in range(2, order + 1):
        found.append(Counted(*count_keys(positions.keys(length), folder, f"{length}", block)))
        if length < order:
            positions.number(length, found[-1].keys)
    positions.close()
    return found


class _Positions:
    """Which n-gram ends at each position of the text: its number, -1 where there is none."""

    def __init__(self, tokens: Tokens, words: int, folder: Path, block: int) -> None:
        self._tokens = tokens
        self._words = words
        self._block = block
        self._path = folder / "positions"
        self._numbers = mapped(self._path, "int64", len(tokens))

    def keys(self, length: int) -> Iterator[Keys]:
        """The keys of the n-grams of this length, of a block of positions at a time."""
        for first in range(0, len(self._tokens), self._block):
            keys, real = self._block_keys(length, first)
            yield keys[real]

    def number(self, length: int, distinct: Keys) -> None:
        """Goes on from shorter n-grams to those of this length, whose distinct keys are given."""
        for first in range(0, len(self._tokens), self._block):
            keys, real = self._block_keys(length, first)
            keys = keys[real]
            rising = keys.argsort()  # in which places are found several times faster
            numbers = np.empty(len(keys), dtype=np.int64)
            numbers[rising] = np.searchsorted(distinct, keys[rising])
            result = np.full(len(real), -1, dtype=np.int64)
            result[real] = numbers
            self._numbers[first : first + self._block] = result

    def close(self) -> None:
        """Takes the file away."""
        self._path.unlink(missing_ok=True)

    def _block_keys(self, length: int, first: int) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Keys at the positions from `first`, and where they are real: behind no BOS."""
        last = min(len(self._tokens), first + self._block)
        source = self._tokens if length == 2 else self._numbers
        numbers = source[first:last].astype(np.int64)
        # an n-gram that begins with BOS cannot be extended
        real = (numbers >= 0) & (self._before(first, last, length - 2) != BOS_ID)
        return numbers * self._words + self._before(first, last, length - 1), real

    def _before(self, first: int, last: int, distance: int) -> Tokens:
        """The words so far before the positions; BOS where the text begins later."""
        missing = min(last - first, max(0, distance - first))
        part = self._tokens[max(0, first - distance) : max(0, last - distance)]
        return np.concatenate([np.full(missing, BOS_ID, dtype=np.int32), part])
