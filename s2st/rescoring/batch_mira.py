"""Batch MIRA (Cherry & Foster 2012): passive-aggressive updates towards better hypotheses.

For each list the hope hypothesis (high model score and high BLEU) is pushed above the fear one
(high model score, low BLEU) by at least their difference in BLEU. Weights are averaged over the
updates of an epoch; the epoch whose average reaches the best corpus BLEU is kept.
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
    """The tuner `mira`. Features are divided by their spreads first: the updates' size depends
    on the features' scale, the corpus BLEU of a choice does not.
    """

    def __init__(self, config: MiraConfig) -> None:
        self.config = config

    def __call__(self, lists: Sequence[TuningList], start: Floats) -> TunedWeights:
        """The best epoch's averaged weights, as `better_or_start` returns them."""
        scale = spreads(lists)
        scaled = [TuningList(item.features / scale, item.statistics) for item in lists]
        weights = start * scale
        weights = weights / max(np.abs(weights).sum(), 1e-12)
        best = TunedWeights(weights, corpus_bleu(scaled, weights))
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        background = np.full(COLUMNS, 1.0)  # decayed statistics of what was chosen before
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
        """New weights, and the hypothesis that the old ones choose."""
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
    """(n,) BLEU (0 to 1) of each hypothesis together with the background, times the reference
    length of both: its scale stays that of a sentence's own gain (Chiang et al. 2008).
    """
    together = statistics + background
    words = background[-1] + statistics[:, -1]
    scores: Floats = bleu(together) / 100.0 * words
    return scores
