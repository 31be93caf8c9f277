"""The data that all tuners use: for each list a matrix of features and one of metric statistics.

A tuner never sees text. Statistics are those of a metric (`metrics.py`); the corpus score is a
function of their sum, and larger is better.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.metrics import Metric

Indices = npt.NDArray[np.int64]
MIN_GAIN = 1e-9  # in percent; smaller differences are rounding errors


@dataclass(frozen=True)
class TuningList:
    """One n-best list of n hypotheses.

    Attributes:
        features: (n, F).
        statistics: (n, K) of the metric, whole numbers.
    """

    features: Floats
    statistics: Statistics


@dataclass(frozen=True)
class TunedWeights:
    """The result of a tuner: weights (F,) and their corpus score in percent."""

    weights: Floats
    score: float


Tuner = Callable[[Sequence[TuningList], Floats, Metric], TunedWeights]


def choose(lists: Sequence[TuningList], weights: Floats) -> Indices:
    """Return (lists,) the best hypothesis of each list under the weights, the first on a tie."""
    return np.array([int(np.argmax(item.features @ weights)) for item in lists], dtype=np.int64)


def corpus_score(lists: Sequence[TuningList], weights: Floats, metric: Metric) -> float:
    """Return the corpus score in percent of the best hypotheses under the weights."""
    picked = choose(lists, weights)
    rows = [item.statistics[index] for item, index in zip(lists, picked, strict=True)]
    return float(metric.corpus(np.array(rows, dtype=np.int64).sum(axis=0)))


def better_or_start(
    lists: Sequence[TuningList], start: Floats, found: TunedWeights, metric: Metric
) -> TunedWeights:
    """Return the tuned weights, scaled to sum(|w|) = 1, or `start` if they are not better.

    Args:
        lists: the lists that the weights were tuned on.
        start: starting point of the tuner; returned unchanged.
        found: the best weights that the tuner found.
        metric: the metric of the lists' statistics.
    """
    before = corpus_score(lists, start, metric)
    size = np.abs(found.weights).sum()
    usable = bool(np.isfinite(size)) and size > 0
    if not usable or corpus_score(lists, found.weights, metric) <= before + MIN_GAIN:
        return TunedWeights(start, before)
    return TunedWeights(found.weights / size, found.score)


def spreads(lists: Sequence[TuningList]) -> Floats:
    """Return (F,) each feature's spread: root of the mean variance within lists, 1 if that is 0."""
    total = np.zeros(lists[0].features.shape[1])
    for item in lists:
        total += item.features.var(axis=0)
    result: Floats = np.sqrt(total / len(lists))
    return np.where(result > 0, result, 1.0)
