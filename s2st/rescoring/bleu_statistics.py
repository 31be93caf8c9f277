"""BLEU statistics of single hypotheses, and corpus and sentence BLEU from their sums.

A row of statistics is (matches of order 1 to 4, n-grams of order 1 to 4, reference length). The
hypothesis length is the number of unigrams. BLEU (Papineni et al. 2002) is computed as by
multi-bleu.perl: no tokenization, clipped counts, closest reference length, no smoothing.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from s2st.text.line_files import split_words

ORDERS = 4
COLUMNS = 2 * ORDERS + 1
Statistics = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class ReferenceCounts:
    """N-gram counts of the references of one sentence, for comparison with many hypotheses.

    Args:
        references: at least one line of words separated by spaces.
    """

    def __init__(self, references: Sequence[str]) -> None:
        words = [split_words(line) for line in references]
        self._lengths = sorted(len(tokens) for tokens in words)
        self._most: list[dict[tuple[str, ...], int]] = []
        for order in range(1, ORDERS + 1):
            most: dict[tuple[str, ...], int] = {}
            for tokens in words:
                for gram, count in Counter(ngrams(tokens, order)).items():
                    most[gram] = max(most.get(gram, 0), count)
            self._most.append(most)

    def compare(self, hypothesis: str) -> list[int]:
        """Return the row of statistics of a hypothesis."""
        tokens = split_words(hypothesis)
        row = [0] * COLUMNS
        for order, most in enumerate(self._most, start=1):
            left = dict(most)
            matches = 0
            for gram in ngrams(tokens, order):
                if left.get(gram, 0):
                    left[gram] -= 1
                    matches += 1
            row[order - 1] = matches
            row[ORDERS + order - 1] = max(0, len(tokens) - order + 1)
        # lengths are sorted: of two equally close ones, the shorter
        row[-1] = min(self._lengths, key=lambda length: abs(length - len(tokens)))
        return row


def ngrams(tokens: Sequence[str], order: int) -> "zip[tuple[str, ...]]":
    """Return all n-grams of an order, from left to right."""
    return zip(*(tokens[start:] for start in range(order)), strict=False)


def bleu(statistics: Statistics | Floats) -> Floats:
    """Return corpus BLEU in percent for summed statistics (..., 9); 0 if a precision is 0."""
    totals = statistics.astype(np.float64)
    matches, counts = totals[..., :ORDERS], totals[..., ORDERS : 2 * ORDERS]
    return _score(matches, counts, totals[..., ORDERS], totals[..., -1])


def sentence_bleu(statistics: Statistics | Floats) -> Floats:
    """Return BLEU of single sentences (n, 9), with 1 added to counts above order 1.

    The smoothing is that of Lin & Och (2004).
    """
    totals = statistics.astype(np.float64)
    matches, counts = totals[..., :ORDERS].copy(), totals[..., ORDERS : 2 * ORDERS].copy()
    matches[..., 1:] += 1
    counts[..., 1:] += 1
    return _score(matches, counts, totals[..., ORDERS], totals[..., -1])


def _score(matches: Floats, counts: Floats, length: Floats, reference: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        log_precision = np.log(matches / counts).mean(axis=-1)
        log_brevity = np.minimum(0.0, 1 - reference / length)
        score = 100 * np.exp(log_precision + log_brevity)
    return np.where((matches > 0).all(axis=-1) & (length > 0), score, 0.0)
