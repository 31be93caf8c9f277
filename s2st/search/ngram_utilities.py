"""Sentence BLEU and chrF2 of all pairs of some texts, with the figures of sacreBLEU.

The n-grams of a text are counted once. `value` is sacreBLEU's own function, `matrix` is in arrays.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.search.utilities import BleuUtilityConfig, ChrfUtilityConfig, Floats, Utility

Ints = npt.NDArray[Any]
BLEU_ORDERS = 4
CHRF_ORDERS = 6
CHRF_FACTOR = 2.0**2  # beta squared: recall counts more than precision


class BleuUtility(Utility):
    """Sentence BLEU with effective order and exponential smoothing, 0 to 100."""

    def __init__(self, config: BleuUtilityConfig) -> None:
        from sacrebleu.metrics.bleu import BLEU

        self._metric = BLEU(effective_order=True)

    def value(self, hypothesis: str, reference: str) -> float:
        """sacreBLEU's sentence BLEU."""
        return float(self._metric.sentence_score(hypothesis, [reference]).score)

    def matrix(self, texts: Sequence[str]) -> Floats:
        """(n, n) sentence BLEU of each text against each text."""
        words = [self._metric.tokenizer(text.rstrip()).split() for text in texts]
        matches, totals = ngram_matches(words, BLEU_ORDERS)
        lengths = np.array([len(row) for row in words], dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            brevity = np.exp(np.minimum(0, 1 - lengths[np.newaxis] / lengths[:, np.newaxis]))
        logs = np.zeros(matches[0].shape)
        smoothing = np.ones(matches[0].shape)
        for match, total in zip(matches, totals, strict=True):
            has = (total > 0)[:, np.newaxis]
            smoothing = np.where(has & (match == 0), smoothing * 2, smoothing)
            count = np.where(match > 0, match, 1 / smoothing)
            precisions = 100 * count / np.maximum(total, 1)[:, np.newaxis]
            logs += np.where(has, np.log(precisions), 0)
        orders = np.maximum((np.stack(totals) > 0).sum(axis=0), 1)[:, np.newaxis]
        scores: Floats = brevity * np.exp(logs / orders)
        return np.where(sum(matches) > 0, scores, 0.0)


class ChrfUtility(Utility):
    """chrF2 of characters without white space, 0 to 100."""

    def __init__(self, config: ChrfUtilityConfig) -> None:
        from sacrebleu.metrics.chrf import CHRF

        self._metric = CHRF()

    def value(self, hypothesis: str, reference: str) -> float:
        """sacreBLEU's sentence chrF2."""
        return float(self._metric.sentence_score(hypothesis, [reference]).score)

    def matrix(self, texts: Sequence[str]) -> Floats:
        """(n, n) chrF2 of each text against each text."""
        matches, totals = ngram_matches(["".join(text.split()) for text in texts], CHRF_ORDERS)
        precision, recall, orders = (np.zeros(matches[0].shape) for _ in range(3))
        for match, total in zip(matches, totals, strict=True):
            both = (total > 0)[:, np.newaxis] & (total > 0)[np.newaxis]
            most = np.maximum(total, 1)
            precision += np.where(both, match / most[:, np.newaxis], 0)
            recall += np.where(both, match / most[np.newaxis], 0)
            orders += both
        precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
        below = CHRF_FACTOR * precision + recall
        above = (1 + CHRF_FACTOR) * precision * recall
        return np.where(below > 0, 100 * above / np.where(below > 0, below, 1), 0.0)


def ngram_matches(rows: Sequence[Sequence[str]], orders: int) -> tuple[list[Ints], list[Ints]]:
    """For each order the matches (n, n) of all pairs of texts, and the n-grams (n,) of each.

    Args:
        rows: the units of each text: words, or characters.
        orders: longest n-gram.
    """
    matches, totals = [], []
    for order in range(1, orders + 1):
        counts = _counts([_ngrams(row, order) for row in rows])
        table = np.zeros((len(rows), len(rows)), dtype=np.int64)
        for index, row in enumerate(counts):
            has = np.flatnonzero(row)
            table[index] = np.minimum(row[has], counts[:, has]).sum(axis=1)
        matches.append(table)
        totals.append(counts.sum(axis=1))
    return matches, totals


def _ngrams(row: Sequence[str], order: int) -> Counter[Sequence[str]]:
    """The n-grams of a text; a text of characters is a string."""
    make: Callable[[Sequence[str]], Sequence[str]] = (
        (lambda x: x) if isinstance(row, str) else tuple
    )
    return Counter(make(row[i : i + order]) for i in range(len(row) - order + 1))


def _counts(texts: Sequence[Counter[Sequence[str]]]) -> Ints:
    """(n, F) counts of the F distinct n-grams."""
    known: dict[Sequence[str], int] = {}
    for text in texts:
        for ngram in text:
            known.setdefault(ngram, len(known))
    table = np.zeros((len(texts), len(known)), dtype=np.int32)
    for index, text in enumerate(texts):
        table[index, [known[ngram] for ngram in text]] = list(text.values())
    return table
