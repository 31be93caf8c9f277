"""Batch MIRA (Cherry & Foster 2012): a tuner with passive-aggressive updates of the weights.

For each list, the update moves the score of the hope hypothesis (high model score, high metric)
above that of the fear hypothesis (high model score, low metric), by at least their difference in
the metric. The weights of an epoch are the average over its updates. The result is the epoch with
the best corpus score.
"""

from collections.abc import Sequence

import numpy as np

from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.metrics import Metric
from s2st.rescoring.registry import MiraConfig
from s2st.rescoring.tuning_lists import (
    TunedWeights,
    TuningList,
    better_or_start,
    corpus_score,
    spreads,
)


class Mira:
    """The tuner `mira`.

    It divides features by their spreads first, because the size of updates depends on the scale of
    the features.
    """

    def __init__(self, config: MiraConfig) -> None:
        self.config = config

    def __call__(self, lists: Sequence[TuningList], start: Floats, metric: Metric) -> TunedWeights:
        """Return the averaged weights of the best epoch, or `start`; see `better_or_start`."""
        scale = spreads(lists)
        weights = start * scale  # of features divided by their spreads
        weights = weights / max(np.abs(weights).sum(), 1e-12)
        best = TunedWeights(weights, corpus_score(lists, weights / scale, metric))
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        background = np.full(metric.columns, 1.0)  # decayed statistics of the earlier choices
        for _ in range(self.config.mira_epochs):
            total = np.zeros_like(weights)
            for index in generator.permutation(len(lists)):
                item = lists[index]
                weights, chosen = self._update(item, weights, scale, background, metric)
                background = self.config.mira_decay * (background + item.statistics[chosen])
                total += weights
            mean = total / len(lists)
            reached = corpus_score(lists, mean / scale, metric)
            if reached > best.score:
                best = TunedWeights(mean, reached)
        found = TunedWeights(best.weights / scale, best.score)
        return better_or_start(lists, start, found, metric)

    def _update(
        self,
        item: TuningList,
        weights: Floats,
        scale: Floats,
        background: Floats,
        metric: Metric,
    ) -> tuple[Floats, int]:
        """Return the new weights, and the hypothesis that the old weights choose."""
        scores = item.features @ (weights / scale)
        gains = pseudo_corpus_gain(item.statistics, background, metric)
        hope = int(np.argmax(scores + gains))
        fear = int(np.argmax(scores - gains))
        difference = (item.features[hope] - item.features[fear]) / scale
        loss = (gains[hope] - gains[fear]) - (scores[hope] - scores[fear])
        norm = float(difference @ difference)
        if loss > 0 and norm > 0:
            weights = weights + min(self.config.mira_c, loss / norm) * difference
        return weights, int(np.argmax(scores))


def pseudo_corpus_gain(statistics: Statistics, background: Floats, metric: Metric) -> Floats:
    """Return the approximate gain in the corpus metric of each hypothesis (Chiang et al. 2008).

    The gain is the score (0 to 1) of the hypothesis and the background, times their reference
    length in words.

    Args:
        statistics: (n, K) statistics of n hypotheses.
        background: (K,) decayed statistics of earlier choices.
        metric: the metric of the statistics.

    Returns:
        (n,).
    """
    totals = statistics + background
    return metric.corpus(totals) / 100.0 * metric.words(totals)
