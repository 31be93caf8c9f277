"""Batch MIRA (Cherry & Foster 2012): a tuner with passive-aggressive updates of the weights.

For each list, the update moves the score of the hope hypothesis (high model score, high BLEU) above
that of the fear hypothesis (high model score, low BLEU), by at least their difference in BLEU. The
weights of an epoch are the average over its updates. The result is the epoch with the best corpus
BLEU.
"""

from collections.abc import Sequence

import numpy as np

from s2st.rescoring.bleu_statistics import COLUMNS, Floats, Statistics, bleu
from s2st.rescoring.line_search import (
    TunedWeights,
    TuningList,
    better_or_start,
    corpus_bleu,
    spreads,
)
from s2st.rescoring.registry import MiraConfig


class Mira:
    """The tuner `mira`.

    It divides features by their spreads first, because the size of updates depends on the scale of
    the features.
    """

    def __init__(self, config: MiraConfig) -> None:
        self.config = config

    def __call__(self, lists: Sequence[TuningList], start: Floats) -> TunedWeights:
        """Return the averaged weights of the best epoch, or `start`; see `better_or_start`."""
        scale = spreads(lists)
        scaled = [TuningList(item.features / scale, item.statistics) for item in lists]
        weights = start * scale
        weights = weights / max(np.abs(weights).sum(), 1e-12)
        best = TunedWeights(weights, corpus_bleu(scaled, weights))
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        background = np.full(COLUMNS, 1.0)  # decayed statistics of the earlier choices
        for _ in range(self.config.mira_epochs):
            total = np.zeros_like(weights)
            for index in generator.permutation(len(scaled)):
                item = scaled[index]
                weights, chosen = self._update(item, weights, background)
                background = self.config.mira_decay * (background + item.statistics[chosen])
                total += weights
            mean = total / len(scaled)
            reached = corpus_bleu(scaled, mean)
            if reached > best.bleu:
                best = TunedWeights(mean, reached)
        return better_or_start(lists, start, TunedWeights(best.weights / scale, best.bleu))

    def _update(self, item: TuningList, weights: Floats, background: Floats) -> tuple[Floats, int]:
        """Return the new weights, and the hypothesis that the old weights choose."""
        scores = item.features @ weights
        gains = pseudo_corpus_gain(item.statistics, background)
        hope = int(np.argmax(scores + gains))
        fear = int(np.argmax(scores - gains))
        difference = item.features[hope] - item.features[fear]
        loss = (gains[hope] - gains[fear]) - (scores[hope] - scores[fear])
        norm = float(difference @ difference)
        if loss > 0 and norm > 0:
            weights = weights + min(self.config.mira_c, loss / norm) * difference
        return weights, int(np.argmax(scores))


def pseudo_corpus_gain(statistics: Statistics, background: Floats) -> Floats:
    """Return the approximate gain in corpus BLEU of each hypothesis (Chiang et al. 2008).

    The gain is BLEU (0 to 1) of the hypothesis and the background, times their reference length.

    Args:
        statistics: (n, 9) BLEU statistics of n hypotheses.
        background: (9,) decayed statistics of earlier choices.

    Returns:
        (n,).
    """
    totals = statistics + background
    words = background[-1] + statistics[:, -1]
    scores: Floats = bleu(totals) / 100.0 * words
    return scores
