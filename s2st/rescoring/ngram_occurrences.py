"""N-grams of all texts of a list, as occurrences that make clipped matches a linear sum.

The k-th time that a text has an n-gram is the occurrence (n-gram, k). Two texts that have an n-gram
c and c' times share the occurrences k = 1 to min(c, c'), which is the number of clipped matches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Occurrences:
    """The n-gram occurrences of one order.

    Attributes:
        rows: (P,) the text of each occurrence; texts count from 0.
        keys: (P,) the number of the occurrence, equal in all texts that have it, unique in a text.
        texts: number of texts.
        size: keys are below this number.
    """

    rows: Indices
    keys: Indices
    texts: int
    size: int

    def counts(self) -> Indices:
        """Return (texts,) the number of n-grams of each text."""
        return np.bincount(self.rows, minlength=self.texts)

    def mass(self, weights: Floats) -> Floats:
        """Return (size,) for each occurrence the summed weights (texts,) of the texts with it."""
        found = np.bincount(self.keys, weights=weights[self.rows], minlength=self.size)
        return found.astype(np.float64)

    def sums(self, values: Floats) -> Floats:
        """Return (texts,) for each text the sum of a value (size,) over its occurrences."""
        found = np.bincount(self.rows, weights=values[self.keys], minlength=self.texts)
        return found.astype(np.float64)


def word_rows(texts: Sequence[Sequence[str]]) -> list[Indices]:
    """Return the words of each text as numbers, equal for equal words."""
    known: dict[str, int] = {}
    return [
        np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int64)
        for words in texts
    ]


def character_rows(texts: Sequence[str]) -> list[Indices]:
    """Return the characters of each text as numbers, without white space, as chrF counts them."""
    return [
        np.frombuffer(
            "".join(text.split()).encode("utf-32-le", "surrogatepass"), dtype="<u4"
        ).astype(np.int64)
        for text in texts
    ]


def count_occurrences(rows: Sequence[Indices], orders: int) -> list[Occurrences]:
    """Return the n-gram occurrences of texts, for each order from 1.

    Args:
        rows: the words or characters of each text as numbers from 0.
        orders: the longest n-grams.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    flat = np.concatenate([*rows, np.zeros(0, dtype=np.int64)])
    owners = np.repeat(np.arange(len(rows)), lengths)
    words, flat = np.unique(flat, return_inverse=True)
    places = np.arange(len(flat))
    left = np.repeat(np.cumsum(lengths), lengths) - places  # words from here to the text's end
    codes = flat
    found = []
    for order in range(1, orders + 1):
        if order > 1:
            inside = left >= order
            places, left, codes = places[inside], left[inside], codes[inside]
            codes = codes * len(words) + flat[places + order - 1]
        _, codes = np.unique(codes, return_inverse=True)
        found.append(_numbered(owners[places], codes, len(rows)))
    return found


def _numbered(rows: Indices, codes: Indices, texts: int) -> Occurrences:
    """Number the repetitions of each n-gram (a code) in each text."""
    if not len(codes):
        return Occurrences(rows, codes, texts, 0)
    size = int(codes.max()) + 1
    order = np.argsort(rows * size + codes, kind="stable")
    ordered_rows, ordered_codes = rows[order], codes[order]
    same = (np.diff(ordered_rows) == 0) & (np.diff(ordered_codes) == 0)
    starts = np.concatenate([[True], ~same])
    positions = np.arange(len(codes))
    repetition = positions - np.maximum.accumulate(np.where(starts, positions, 0))
    keys = ordered_codes + size * repetition
    if repetition.any():
        distinct, keys = np.unique(keys, return_inverse=True)
        size = len(distinct)
    return Occurrences(ordered_rows, keys, texts, size)
