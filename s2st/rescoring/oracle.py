"""Oracle and worst choices from n-best lists, and bootstrap intervals of a metric."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.metrics import Metric
from s2st.rescoring.tuning_lists import Indices

MAX_PASSES = 20
MAX_DRAWN = 1 << 23  # drawn numbers in memory


def best_by_sentence(statistics: Sequence[Statistics], metric: Metric) -> Indices:
    """Return (lists,) the hypothesis with the highest sentence score, the first on a tie."""
    return np.array([int(np.argmax(metric.sentence(rows))) for rows in statistics], dtype=np.int64)


def best_by_corpus(
    statistics: Sequence[Statistics], metric: Metric, worst: bool = False
) -> Indices:
    """Return (lists,) a choice whose corpus score no single change improves.

    The search is greedy and uses the exact corpus counts. It starts from the choice by sentence
    score, and passes over the lists until nothing changes.

    Args:
        statistics: (n, K) the metric's statistics of each list's hypotheses.
        metric: the metric.
        worst: whether to minimize the corpus score instead.
    """
    sign = -1.0 if worst else 1.0
    chosen = np.array(
        [int(np.argmax(sign * metric.sentence(rows))) for rows in statistics], dtype=np.int64
    )
    total = picked(statistics, chosen).sum(axis=0)
    for _ in range(MAX_PASSES):
        changed = False
        for index, rows in enumerate(statistics):
            others = total - rows[chosen[index]]
            scores = sign * metric.corpus(others + rows)
            best = int(np.argmax(scores))
            if scores[best] > scores[chosen[index]] + 1e-12:
                chosen[index], changed = best, True
                total = others + rows[best]
        if not changed:
            break
    return chosen


def picked(statistics: Sequence[Statistics], chosen: Indices) -> Statistics:
    """Return (lists, K) the statistics of the chosen hypotheses."""
    return np.array(
        [rows[index] for rows, index in zip(statistics, chosen, strict=True)], dtype=np.int64
    )


@dataclass(frozen=True)
class Interval:
    """A metric's value in percent, with its 95 % interval from bootstrap resampling."""

    value: float
    low: float
    high: float


def resamples(lists: int, samples: int, seed: int) -> Statistics:
    """Return (samples, lists) how often each list is drawn; use one draw for all systems."""
    return _draw(np.random.Generator(np.random.PCG64(seed)), lists, samples)


def _draw(generator: np.random.Generator, lists: int, samples: int) -> Statistics:
    return generator.multinomial(lists, np.full(lists, 1 / lists), size=samples)


class Resamples:
    """Bootstrap samples of lists, the same for all systems.

    More than MAX_DRAWN numbers are drawn anew for each use, some samples at a time.

    Args:
        lists: number of lists.
        samples: number of samples.
        seed: of the generator.
    """

    def __init__(self, lists: int, samples: int, seed: int) -> None:
        self._lists = lists
        self._samples = samples
        self._seed = seed
        self._kept = resamples(lists, samples, seed) if lists * samples <= MAX_DRAWN else None

    def sums(self, rows: Statistics) -> Statistics:
        """Return (samples, K) the summed statistics of each sample, from those of lists (L, K)."""
        if self._kept is not None:
            return self._kept @ rows
        generator = np.random.Generator(np.random.PCG64(self._seed))
        step = max(1, MAX_DRAWN // self._lists)
        parts = []
        for start in range(0, self._samples, step):
            count = min(step, self._samples - start)
            parts.append(_draw(generator, self._lists, count) @ rows)
        return np.concatenate(parts)


def score_interval(rows: Statistics, draws: Resamples, metric: Metric) -> Interval:
    """Return the corpus score of a choice (lists, K) with its interval (Koehn 2004)."""
    scores = metric.corpus(draws.sums(rows))
    low, high = np.percentile(scores, [2.5, 97.5])
    return Interval(float(metric.corpus(rows.sum(axis=0))), float(low), float(high))


def gain_interval(
    rows: Statistics, baseline: Statistics, draws: Resamples, metric: Metric
) -> Interval:
    """Return the score of a choice minus that of the baseline, by paired bootstrap resampling."""
    gains: Floats = metric.corpus(draws.sums(rows)) - metric.corpus(draws.sums(baseline))
    low, high = np.percentile(gains, [2.5, 97.5])
    value = float(metric.corpus(rows.sum(axis=0)) - metric.corpus(baseline.sum(axis=0)))
    return Interval(value, float(low), float(high))
