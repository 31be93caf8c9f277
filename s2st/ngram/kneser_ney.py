"""Interpolated modified Kneser-Ney smoothing, as in KenLM's lmplz, over counts on disk.

Chen and Goodman (1998), section 3; Heafield et al. (2013), "Scalable modified Kneser-Ney language
model estimation". Let a(w1 .. wk) be the adjusted count: occurrences for the longest n-grams and
those that start with <s>, else the number of distinct words that precede. With h = w1 .. w(k-1)
and h' = w2 .. w(k-1):

    p(wk | h) = (a(h wk) - D(a(h wk))) / sum_w a(h w) + b(h) p(wk | h')
    b(h)      = sum over w of D(a(h w)) / sum_w a(h w)

The recursion ends at the uniform distribution over all words except <s>. Pruned n-grams stay in the
denominator, and their whole count goes to b(h).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError
from s2st.ngram.counting import Counted, context_numbers
from s2st.ngram.external_sort import mapped
from s2st.ngram.lookup_tables import Floats, Keys
from s2st.text.vocabulary import BOS_ID, PAD_ID

FALLBACK = (0.5, 1.0, 1.5)  # lmplz's
BYTES_PER_NGRAM = 120  # memory for an n-gram while its block is processed
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Smoothed:
    """The n-grams of one order in suffix order, as arrays on disk.

    Attributes:
        keys: as in `Counted`.
        probabilities: p(last word | words before it).
        backoffs: b(h) of the words as a context, 1 if no word follows; empty at the highest order.
        kept: False for pruned n-grams; None if no n-gram is pruned.
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
    """Compute probabilities and backoff weights of all n-grams.

    Args:
        counted: the n-grams of each order, from 1.
        thresholds: for each order, the count up to which n-grams are pruned.
        fallback: whether to use FALLBACK for discounts that cannot be estimated.
        folder: folder for the arrays.
        memory: maximal number of bytes for a block.

    Raises:
        DataError: the discounts cannot be estimated, and `fallback` is False.
    """
    smoothing = _Smoothing(folder, max(1, memory // BYTES_PER_NGRAM), len(counted[0].keys))
    smoothed: list[Smoothed] = []
    for index, ngrams in enumerate(counted):
        longer = counted[index + 1] if index + 1 < len(counted) else None
        adjusted = smoothing.adjusted(index + 1, ngrams, longer)
        discounts = _discounts(_counts_of_counts(adjusted, smoothing.block), index + 1, fallback)
        if index == 0:
            smoothed.append(smoothing.words(adjusted, discounts))
        else:
            smoothed.append(
                smoothing.order(ngrams, adjusted, discounts, thresholds[index], smoothed)
            )
    return smoothed


class _Smoothing:
    """The computation, called for order 1, 2, ...; arrays are mapped files in `folder`."""

    def __init__(self, folder: Path, block: int, words: int) -> None:
        self.folder = folder
        self.block = block
        self.V = words
        self._contexts: Keys = np.empty(0, dtype=np.int64)  # of the previous order

    def _new(self, name: str, length: int, kind: str = "float64") -> npt.NDArray[np.generic]:
        return mapped(self.folder / name, kind, length)

    def _parts(self, length: int) -> Iterator[slice]:
        return (slice(i, min(length, i + self.block)) for i in range(0, length, self.block))

    def adjusted(self, order: int, ngrams: Counted, longer: Counted | None) -> Keys:
        """Return the adjusted counts of an order."""
        if longer is None:
            if order > 1:
                return ngrams.counts
            single: Keys = ngrams.counts.copy()
            single[BOS_ID] = 0
            return single
        result: Keys = self._new(f"{order}.adjusted", len(ngrams.keys), "int64")  # type: ignore[assignment]
        for part in self._parts(len(longer.keys)):  # neighbors extend the same n-gram
            shorter = longer.keys[part] // self.V
            counts = np.bincount(shorter - shorter[0])
            result[shorter[0] : shorter[0] + len(counts)] += counts
        if order > 1:
            for part in self._parts(len(ngrams.keys)):
                begins = ngrams.keys[part] % self.V == BOS_ID
                result[part] = np.where(begins, ngrams.counts[part], result[part])
        return result

    def words(self, adjusted: Keys, discounts: Floats) -> Smoothed:
        """Smooth order 1 by the uniform distribution; <s> gets the probability 1."""
        least = discounts[np.minimum(adjusted, 3)]
        total = adjusted.sum()
        uniform = 1 / (self.V - 2)  # <pad> and <s> never follow a context
        probabilities = (adjusted - least) / total + least.sum() / total * uniform
        probabilities[BOS_ID], probabilities[PAD_ID] = 1, 0
        return Smoothed(np.arange(self.V), probabilities, np.empty(0), None)

    def order(
        self,
        ngrams: Counted,
        adjusted: Keys,
        discounts: Floats,
        threshold: int,
        smoothed: list[Smoothed],
    ) -> Smoothed:
        """Smooth an order above 1, and set the backoff weights of the previous order."""
        order, size, shorter = len(smoothed) + 1, len(ngrams.keys), smoothed[-1]
        contexts: Keys = self._new(f"{order}.contexts", size, "int64")  # type: ignore[assignment]
        sums: Floats = self._new(f"{order}.sums", len(shorter.keys))  # type: ignore[assignment]
        rest: Floats = self._new(f"{order}.rest", len(shorter.keys))  # type: ignore[assignment]
        for part in self._parts(size):
            contexts[part] = context_numbers(
                ngrams.keys[part], self._contexts, shorter.keys, self.V
            )
            counts = adjusted[part]
            kept_ngrams = ngrams.counts[part] > threshold
            lost = np.where(kept_ngrams, discounts[np.minimum(counts, 3)], counts)
            np.add.at(sums, contexts[part], counts.astype(np.float64))
            np.add.at(rest, contexts[part], lost)
        backoffs: Floats = self._new(f"{order - 1}.backoffs", len(shorter.keys))  # type: ignore[assignment]
        for part in self._parts(len(sums)):
            unused = sums[part] == 0
            backoffs[part] = np.where(unused, 1, rest[part] / np.where(unused, 1, sums[part]))
        smoothed[-1] = replace(shorter, backoffs=backoffs)
        probabilities: Floats = self._new(f"{order}.probabilities", size)  # type: ignore[assignment]
        kept: Flags = self._new(f"{order}.kept", size, "bool")  # type: ignore[assignment]
        for part in self._parts(size):
            counts, context = adjusted[part], contexts[part]
            high = (counts - discounts[np.minimum(counts, 3)]) / sums[context]
            low = shorter.probabilities[ngrams.keys[part] // self.V]
            probabilities[part] = high + backoffs[context] * low
            kept[part] = ngrams.counts[part] > threshold
        self._contexts = contexts
        return Smoothed(ngrams.keys, probabilities, np.empty(0), kept if threshold else None)


def _counts_of_counts(adjusted: Keys, block: int) -> list[int]:
    """Return the numbers of n-grams with the adjusted counts 0, 1, 2, 3 and 4."""
    total = np.zeros(6, dtype=np.int64)
    for first in range(0, len(adjusted), block):
        part = adjusted[first : first + block]
        total += np.bincount(np.minimum(part, 5), minlength=6)
    return [int(count) for count in total[:5]]


def _discounts(counts: Sequence[int], order: int, fallback: bool) -> Floats:
    """Return D for the adjusted counts 0, 1, 2, and 3 or more (Chen and Goodman, eq. 26)."""
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
        f"Kneser-Ney discounts of the {order}-grams cannot be estimated ({reason}): the text is "
        "too small or odd; use --discount-fallback or a smaller --order"
    )
