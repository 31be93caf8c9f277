"""PRO, pairwise ranked optimization (Hopkins & May 2011): a tuner that ranks sampled pairs.

Of random pairs of hypotheses of each list, those with the largest differences in the sentence
metric become examples of a logistic regression: the weights shall rank the better hypothesis of
each pair higher. The problem is convex, so the start plays no role.
"""

from collections.abc import Sequence

import numpy as np

from s2st.rescoring.bleu_statistics import Floats
from s2st.rescoring.metrics import Metric
from s2st.rescoring.registry import ProConfig
from s2st.rescoring.tuning_lists import (
    TunedWeights,
    TuningList,
    better_or_start,
    corpus_score,
    spreads,
)

MAX_STEPS = 100  # Newton's method needs about 10
GRADIENT = 1e-9


class Pro:
    """The tuner `pro`. It divides features by their spreads first, as its L2 penalty needs."""

    def __init__(self, config: ProConfig) -> None:
        self.config = config

    def __call__(self, lists: Sequence[TuningList], start: Floats, metric: Metric) -> TunedWeights:
        """Return the regression's weights, or `start`; see `better_or_start`."""
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        scale = spreads(lists)
        pairs = [self.sample(item, generator, metric) / scale for item in lists]
        differences = np.concatenate(pairs)
        if not len(differences):
            return TunedWeights(start, corpus_score(lists, start, metric))
        weights = fit(differences, self.config.pro_l2) / scale
        found = TunedWeights(weights, corpus_score(lists, weights, metric))
        return better_or_start(lists, start, found, metric)

    def sample(self, item: TuningList, generator: np.random.Generator, metric: Metric) -> Floats:
        """Return (P, F) the features of better hypotheses minus those of worse ones.

        Args:
            item: a list.
            generator: chooses `pro_candidates` pairs; the `pro_pairs` with the largest differences
                in the sentence metric are kept, if these are above `pro_threshold`.
            metric: the metric of the list's statistics.
        """
        scores = metric.sentence(item.statistics)
        picks = generator.integers(len(scores), size=(self.config.pro_candidates, 2))
        gains = scores[picks[:, 0]] - scores[picks[:, 1]]
        order = np.argsort(-np.abs(gains), kind="stable")[: self.config.pro_pairs]
        order = order[np.abs(gains[order]) > self.config.pro_threshold]
        differences = item.features[picks[order, 0]] - item.features[picks[order, 1]]
        signed: Floats = differences * np.sign(gains[order])[:, None]
        return signed


def fit(differences: Floats, l2: float) -> Floats:
    """Return the weights (F,) that minimize the mean logistic loss of pairs plus l2 / 2 * |w|^2.

    Newton's method with halved steps; each pair's loss is log(1 + exp(-w . difference)).

    Args:
        differences: (P, F) the better hypothesis' features minus the worse one's.
        l2: strength of the penalty, above 0.
    """
    weights = np.zeros(differences.shape[1])
    loss = _loss(differences, weights, l2)
    for _ in range(MAX_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(differences @ weights, -700, 700)))
        gradient = l2 * weights - differences.T @ wrong / len(differences)
        if np.abs(gradient).max() < GRADIENT:
            break
        curvature = (differences * (wrong * (1 - wrong))[:, None]).T @ differences
        hessian = curvature / len(differences) + l2 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while _loss(differences, weights - size * step, l2) > loss and size > 1e-10:
            size /= 2
        weights = weights - size * step
        loss = _loss(differences, weights, l2)
    return weights


def _loss(differences: Floats, weights: Floats, l2: float) -> float:
    losses = np.logaddexp(0, -(differences @ weights))
    return float(losses.mean() + l2 / 2 * weights @ weights)
