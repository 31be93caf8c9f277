"""Interpolated modified Kneser-Ney smoothing as lmplz has it, over counts on disk.

Chen and Goodman (1998), section 3; Heafield et al. (2013), "Scalable modified Kneser-Ney language
model estimation". With a(w1 .. wk) the adjusted count (occurrences for the longest n-grams and
those that begin with <s>, else the number of different words that occur before) and h = w1 ..
w(k-1), h' = w2 .. w(k-1):

    p(wk | h) = (a(h wk) - D(a(h wk))) / sum_w a(h w) + b(h) p(wk | h')
    b(h)      = sum over w of D(a(h w)) / sum_w a(h w)

down to the uniform 1 / V over all words but <s>. n-grams that are pruned keep their part in the
denominator, and all of their count goes to b(h).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError
from s2st.ngram.counting import Counted
from s2st.ngram.external_sort import mapped
from s2st.ngram.lookup_tables import Floats, Keys, find
from s2st.text.vocabulary import BOS_ID, PAD_ID

FALLBACK = (0.5, 1.0, 1.5)  # lmplz's
BYTES_AN_NGRAM = 120  # while a block of them is looked at
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Smoothed:
    """The n-grams of one order in suffix order, as arrays on disk.

    Attributes:
        keys: as in `counts`.
        probabilities: of the last word after those before it.
        backoffs: b of the words as a context, 1 where they are none; empty at the highest order.
        kept: False where pruned; None where all are kept.
    """

    keys: Keys
    probabilities: Floats
    backoffs: Floats
    kept: Flags | None


def smooth(
    counted: Sequence[Counted],
    thresholds: Sequence[int],
    fallback: bool,
    folder: Path,
    memory: int,
) -> list[Smoothed]:
    """Probabilities and backoff weights of all n-grams.

    Args:
        counted: one item an order, from 1.
        thresholds: for each order the count up to which its n-grams are pruned.
        fallback: whether FALLBACK stands in for discounts that cannot be told.
        folder: for the arrays.
        memory: bytes for a block at most.

    Raises:
        DataError: the counts do not allow discounts, and `fallback` is False.
    """
    smoothing = _Smoothing(folder, max(1, memory // BYTES_AN_NGRAM), len(counted[0].keys))
    found: list[Smoothed] = []
    for index, own in enumerate(counted):
        longer = counted[index + 1] if index + 1 < len(counted) else None
        adjusted = smoothing.adjusted(index + 1, own, longer)
        discounts = _discounts(_counts_of_counts(adjusted, smoothing.block), index + 1, fallback)
        if index == 0:
            found.append(smoothing.words(adjusted, discounts))
        else:
            found.append(smoothing.order(own, adjusted, discounts, thresholds[index], found))
    return found


class _Smoothing:
    """The steps over the orders, rising; arrays are mapped files of `folder`."""

    def __init__(self, folder: Path, block: int, words: int) -> None:
        self.folder = folder
        self.block = block
        self.V = words
        self._contexts: Keys = np.empty(0, dtype=np.int64)  # of the order before

    def _new(self, name: str, length: int, kind: str = "float64") -> npt.NDArray[np.generic]:
        return mapped(self.folder / name, kind, length)

    def _parts(self, length: int) -> Iterator[slice]:
        return (slice(i, min(length, i + self.block)) for i in range(0, length, self.block))

    def adjusted(self, order: int, own: Counted, longer: Counted | None) -> Keys:
        """The adjusted counts of an order."""
        if longer is None:
            if order > 1:
                return own.counts
            single: Keys = own.counts.copy()
            single[BOS_ID] = 0
            return single
        result: Keys = self._new(f"{order}.adjusted", len(own.keys), "int64")  # type: ignore[assignment]
        for part in self._parts(len(longer.keys)):  # neighbours extend the same n-gram
            shorter = longer.keys[part] // self.V
            counts = np.bincount(shorter - shorter[0])
            result[shorter[0] : shorter[0] + len(counts)] += counts
        if order > 1:
            for part in self._parts(len(own.keys)):
                begins = own.keys[part] % self.V == BOS_ID
                result[part] = np.where(begins, own.counts[part], result[part])
        return result

    def words(self, adjusted: Keys, discounts: Floats) -> Smoothed:
        """Order 1: interpolated with the uniform distribution; <s> has the probability 1."""
        least = discounts[np.minimum(adjusted, 3)]
        total = adjusted.sum()
        uniform = 1 / (self.V - 2)  # neither <pad> nor <s> ever comes next
        probabilities = (adjusted - least) / total + least.sum() / total * uniform
        probabilities[BOS_ID], probabilities[PAD_ID] = 1, 0
        return Smoothed(np.arange(self.V), probabilities, np.empty(0), None)

    def order(
        self, own: Counted, adjusted: Keys, discounts: Floats, threshold: int, found: list[Smoothed]
    ) -> Smoothed:
        """An order above 1; sets the backoffs of the order before."""
        order, size, shorter = len(found) + 1, len(own.keys), found[-1]
        contexts: Keys = self._new(f"{order}.contexts", size, "int64")  # type: ignore[assignment]
        sums: Floats = self._new(f"{order}.sums", len(shorter.keys))  # type: ignore[assignment]
        rest: Floats = self._new(f"{order}.rest", len(shorter.keys))  # type: ignore[assignment]
        for part in self._parts(size):
            contexts[part] = self._context(own.keys[part], shorter)
            counts = adjusted[part]
            lost = np.where(own.counts[part] > threshold, discounts[np.minimum(counts, 3)], counts)
            np.add.at(sums, contexts[part], counts.astype(np.float64))
            np.add.at(rest, contexts[part], lost)
        backoffs: Floats = self._new(f"{order - 1}.backoffs", len(shorter.keys))  # type: ignore[assignment]
        for part in self._parts(len(sums)):
            nothing = sums[part] == 0
            backoffs[part] = np.where(nothing, 1, rest[part] / np.where(nothing, 1, sums[part]))
        found[-1] = replace(shorter, backoffs=backoffs)
        probabilities: Floats = self._new(f"{order}.probabilities", size)  # type: ignore[assignment]
        kept: Flags = self._new(f"{order}.kept", size, "bool")  # type: ignore[assignment]
        for part in self._parts(size):
            counts, context = adjusted[part], contexts[part]
            high = (counts - discounts[np.minimum(counts, 3)]) / sums[context]
            low = shorter.probabilities[own.keys[part] // self.V]
            probabilities[part] = high + backoffs[context] * low
            kept[part] = own.counts[part] > threshold
        self._contexts = contexts
        return Smoothed(own.keys, probabilities, np.empty(0), kept if threshold else None)

    def _context(self, keys: Keys, shorter: Smoothed) -> Keys:
        """The numbers of the n-grams' words but the last, among the n-grams of the order before.

        The context w1 .. w(k-1) extends by w1 the context w2 .. w(k-1) of the shorter n-gram w2 ..
        wk, which is known already.
        """
        suffix, first = keys // self.V, keys % self.V
        if not len(self._contexts):  # of a word alone the context is nothing
            return first
        return find(shorter.keys, self._contexts[suffix] * self.V + first)


def _counts_of_counts(adjusted: Keys, block: int) -> list[int]:
    """How many n-grams have the adjusted count 0, 1, 2, 3, 4."""
    total = np.zeros(6, dtype=np.int64)
    for first in range(0, len(adjusted), block):
        part = adjusted[first : first + block]
        total += np.bincount(np.minimum(part, 5), minlength=6)
    return [int(count) for count in total[:5]]


def _discounts(counts: Sequence[int], order: int, fallback: bool) -> Floats:
    """D of the adjusted counts 0, 1, 2 and 3 or more (Chen and Goodman, equation 26)."""
    missing = [number for number in range(1, 4) if not counts[number]]
    values = [0.0]
    if not missing:
        share = counts[1] / (counts[1] + 2 * counts[2])
        values += [n - (n + 1) * share * counts[n + 1] / counts[n] for n in (1, 2, 3)]
        if all(0 <= value <= n for n, value in enumerate(values)):
            return np.array(values)
    if fallback:
        return np.array([0.0, *FALLBACK])
    reason = f"none has the adjusted count {missing[0]}" if missing else "one is out of range"
    raise DataError(
        f"the {order}-grams allow no Kneser-Ney discounts ({reason}): the text is too small or "
        "odd; --discount-fallback takes fixed ones, a smaller --order may do too"
    )
