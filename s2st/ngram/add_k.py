"""Count-based n-gram models without interpolation: count over count, and add-k smoothing.

Jurafsky and Martin, "Speech and Language Processing", chapter "N-gram Language Models". With c, the
number of occurrences, the n - 1 words h before w (fewer at the start of a sentence), and V words
that can follow (all but `<s>`):

    p(w | h) = (c(h w) + k) / (c(h) + k V)

k = 0 gives count over count. An ARPA file holds these models exactly:

- For k > 0 a word that never follows h has the probability k / (c(h) + k V), the same for all such
  words. So shorter n-grams get the uniform probability 1 / V, and h the backoff weight
  k V / (c(h) + k V). An h that never occurs has p(w | h) = 1 / V, as by the formula.
- For k = 0 every context that occurs has the backoff weight 0. For an h that never occurs, the
  formula is 0 / 0; the model then uses the longest end of h that occurs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from s2st.ngram.counting import Counted, context_numbers
from s2st.ngram.external_sort import mapped
from s2st.ngram.kneser_ney import BYTES_PER_NGRAM, Smoothed
from s2st.ngram.lookup_tables import Floats, Keys
from s2st.text.vocabulary import BOS_ID, PAD_ID


def add_counts(counted: Sequence[Counted], k: float, folder: Path, memory: int) -> list[Smoothed]:
    """Compute probabilities and backoff weights of all n-grams.

    Args:
        counted: the n-grams of each order, from 1.
        k: occurrences that are added to each count; 0 for count over count.
        folder: folder for the arrays.
        memory: maximal number of bytes for a block.
    """
    words = len(counted[0].keys)
    block = max(1, memory // BYTES_PER_NGRAM)
    smoothed: list[Smoothed] = []
    contexts: Keys = np.empty(0, dtype=np.int64)
    for order, ngrams in enumerate(counted, start=1):
        made = _Order(ngrams, order, order == len(counted), k, words, folder, block)
        if order == 1:
            smoothed.append(made.words())
            continue
        contexts = made.contexts(contexts, smoothed[-1].keys)
        totals = made.totals(contexts, len(smoothed[-1].keys))
        smoothed[-1] = replace(smoothed[-1], backoffs=made.backoffs(smoothed[-1].keys, totals))
        smoothed.append(made.smoothed(contexts, totals))
    return smoothed


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order; arrays are mapped files in `folder`.

    Attributes:
        longest: whether no order is longer.
        words: size of the vocabulary, special tokens included.
        block: n-grams that are processed together.
    """

    ngrams: Counted
    order: int
    longest: bool
    k: float
    words_in_all: int
    folder: Path
    block: int

    @property
    def _following(self) -> int:
        """V: <pad> and <s> never follow a context."""
        return self.words_in_all - 2

    def _parts(self, length: int) -> Iterator[slice]:
        return (slice(i, min(length, i + self.block)) for i in range(0, length, self.block))

    def words(self) -> Smoothed:
        """Smooth order 1; <s> gets the probability 1."""
        counts = self.ngrams.counts.astype(np.float64)
        counts[[BOS_ID, PAD_ID]] = 0
        probabilities = (counts + self.k) / (counts.sum() + self.k * self._following)
        if self.k and not self.longest:
            probabilities[:] = 1 / self._following
        probabilities[BOS_ID], probabilities[PAD_ID] = 1, 0
        return Smoothed(self.ngrams.keys, probabilities, np.empty(0), None)

    def contexts(self, before: Keys, shorter: Keys) -> Keys:
        """Return the numbers of the contexts of all n-grams; see `context_numbers`."""
        size = len(self.ngrams.keys)
        result: Keys = mapped(self.folder / f"{self.order}.contexts", "int64", size)  # type: ignore[assignment]
        for part in self._parts(size):
            keys = self.ngrams.keys[part]
            result[part] = context_numbers(keys, before, shorter, self.words_in_all)
        return result

    def totals(self, contexts: Keys, size: int) -> Floats:
        """Return c(h) of each n-gram h of the previous order, as a context."""
        result: Floats = mapped(self.folder / f"{self.order}.totals", "float64", size)  # type: ignore[assignment]
        for part in self._parts(len(contexts)):
            np.add.at(result, contexts[part], self.ngrams.counts[part].astype(np.float64))
        return result

    def backoffs(self, shorter: Keys, totals: Floats) -> Floats:
        """Return the backoff weight of each n-gram of the previous order."""
        path = self.folder / f"{self.order - 1}.backoffs"
        result: Floats = mapped(path, "float64", len(totals))  # type: ignore[assignment]
        mass = self.k * self._following
        for part in self._parts(len(totals)):
            counts = totals[part]
            used = counts > 0
            if self.k and not self.longest:
                used &= shorter[part] % self.words_in_all == BOS_ID
            result[part] = np.where(used, mass / np.where(used, counts + mass, 1), 1)
        return result

    def smoothed(self, contexts: Keys, totals: Floats) -> Smoothed:
        """Smooth an order above 1."""
        size = len(self.ngrams.keys)
        path = self.folder / f"{self.order}.probabilities"
        result: Floats = mapped(path, "float64", size)  # type: ignore[assignment]
        mass = self.k * self._following
        for part in self._parts(size):
            values = (self.ngrams.counts[part] + self.k) / (totals[contexts[part]] + mass)
            if self.k and not self.longest:
                begins = self.ngrams.keys[part] % self.words_in_all == BOS_ID
                values = np.where(begins, values, 1 / self._following)
            result[part] = values
        return Smoothed(self.ngrams.keys, result, np.empty(0), None)
