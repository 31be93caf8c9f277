"""Counting of n-grams in bounded memory: text to ids on disk, then distinct n-grams by order.

In this module an n-gram's number is its index in suffix order (last word first). The key of
w1 .. wk is the integer (number of w2 .. wk) x V + w1, so that sorting keys sorts n-grams, and the
n-grams that extend an n-gram by one word to the left are neighbors.
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
from s2st.ngram.lookup_tables import Keys, find
from s2st.text.tokenizers import Tokenizer
from s2st.text.vocabulary import BOS_ID, EOS_ID, SPECIALS, UNK_ID, Vocabulary, mostly_unknown

log = logging.getLogger("s2st")
LINES = 2000  # lines read together
BYTES_PER_POSITION = 80  # memory for a position of the text while its block is sorted
Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class WordLimits:
    """The words of a model: those of `given`, or else the `most` most frequent of the text."""

    given: Vocabulary | None = None
    most: int | None = None


@dataclass(frozen=True)
class Counted:
    """The distinct n-grams of one order in suffix order; for order 1, all words by id.

    Attributes:
        keys: in rising order.
        counts: number of occurrences of each n-gram in the text.
    """

    keys: Keys
    counts: Keys


def read_text(
    lines: Iterable[str], tokenizer: Tokenizer, limits: WordLimits, folder: Path
) -> tuple[Tokens, Vocabulary]:
    """Return the ids of all sentences, each between BOS and EOS, on disk, and the vocabulary.

    Words that are not in the vocabulary become UNK, and so do words that look like a special token.

    Raises:
        DataError: the text has no words.
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
    """Count the distinct n-grams of each order from 1; return arrays on disk.

    Args:
        tokens: result of `read_text`.
        words: V, the size of the vocabulary, including special tokens.
        order: length of the longest n-grams.
        folder: folder for the arrays.
        memory: maximal number of bytes for a block.
    """
    block = max(1, memory // BYTES_PER_POSITION)
    single = np.zeros(words, dtype=np.int64)
    for first in range(0, len(tokens), block):
        single += np.bincount(tokens[first : first + block], minlength=words)
    orders = [Counted(np.arange(words), single)]
    positions = _Positions(tokens, words, folder, block)
    for length in range(2, order + 1):
        orders.append(Counted(*count_keys(positions.keys(length), folder, f"{length}", block)))
        if length < order:
            positions.number(length, orders[-1].keys)
    positions.close()
    return orders


def context_numbers(keys: Keys, contexts: Keys, shorter: Keys, words: int) -> Keys:
    """Return the numbers of the n-grams' contexts among the n-grams of the previous order.

    The context w1 .. w(k-1) extends by w1 the context w2 .. w(k-1) of the shorter n-gram
    w2 .. wk, which is already known.

    Args:
        keys: of some n-grams of order k.
        contexts: for each n-gram of order k - 1 the number of its context; empty for single words.
        shorter: keys of the n-grams of order k - 1.
        words: V, the size of the vocabulary.
    """
    suffix, first = keys // words, keys % words
    if not len(contexts):  # a single word has no context
        return first
    return find(shorter, contexts[suffix] * words + first)


class _Positions:
    """The number of the n-gram that ends at each position of the text; -1 if there is none."""

    def __init__(self, tokens: Tokens, words: int, folder: Path, block: int) -> None:
        self._tokens = tokens
        self._words = words
        self._block = block
        self._path = folder / "positions"
        self._numbers = mapped(self._path, "int64", len(tokens))

    def keys(self, length: int) -> Iterator[Keys]:
        """Yield the keys of the n-grams of this length, one block of positions at a time."""
        for first in range(0, len(self._tokens), self._block):
            keys, real = self._block_keys(length, first)
            yield keys[real]

    def number(self, length: int, distinct: Keys) -> None:
        """Replace the numbers of shorter n-grams by those of this length.

        Args:
            length: length of the n-grams.
            distinct: the distinct keys of this length, in rising order.
        """
        for first in range(0, len(self._tokens), self._block):
            keys, real = self._block_keys(length, first)
            keys = keys[real]
            rising = keys.argsort()  # searchsorted is several times faster on sorted keys
            numbers = np.empty(len(keys), dtype=np.int64)
            numbers[rising] = np.searchsorted(distinct, keys[rising])
            result = np.full(len(real), -1, dtype=np.int64)
            result[real] = numbers
            self._numbers[first : first + self._block] = result

    def close(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def _block_keys(self, length: int, first: int) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Return the keys at the positions from `first`, and a mask of those that are n-grams.

        Positions too close to the start of a sentence have no n-gram.
        """
        last = min(len(self._tokens), first + self._block)
        source = self._tokens if length == 2 else self._numbers
        numbers = source[first:last].astype(np.int64)
        # an n-gram that begins with BOS cannot be extended
        real = (numbers >= 0) & (self._before(first, last, length - 2) != BOS_ID)
        return numbers * self._words + self._before(first, last, length - 1), real

    def _before(self, first: int, last: int, distance: int) -> Tokens:
        """Return the words `distance` before the positions; BOS before the start of the text."""
        missing = min(last - first, max(0, distance - first))
        part = self._tokens[max(0, first - distance) : max(0, last - distance)]
        return np.concatenate([np.full(missing, BOS_ID, dtype=np.int32), part])
