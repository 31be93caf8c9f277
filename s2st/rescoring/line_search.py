"""Och's line search (MERT): a tuner that maximizes BLEU exactly along lines of weights.

This module also holds the data that all tuners use: for each list a matrix of features and one of
BLEU statistics. A tuner never sees text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.rescoring.bleu_statistics import COLUMNS, Statistics, bleu
from s2st.rescoring.registry import LineSearchConfig

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
MIN_GAIN = 1e-9  # in percent BLEU; smaller differences are rounding errors


@dataclass(frozen=True)
class TuningList:
    """One n-best list: `features` (n, F) and BLEU `statistics` (n, 9), one row per hypothesis."""

    features: Floats
    statistics: Statistics


@dataclass(frozen=True)
class TunedWeights:
    """The result of a tuner: weights (F,) and their corpus BLEU in percent."""

    weights: Floats
    bleu: float


Tuner = Callable[[Sequence[TuningList], Floats], TunedWeights]


def choose(lists: Sequence[TuningList], weights: Floats) -> Indices:
    """Return (lists,) the best hypothesis of each list under the weights, the first on a tie."""
    return np.array([int(np.argmax(item.features @ weights)) for item in lists], dtype=np.int64)


def corpus_bleu(lists: Sequence[TuningList], weights: Floats) -> float:
    """Return the corpus BLEU in percent of the best hypotheses under the weights."""
    picked = choose(lists, weights)
    rows = [item.statistics[index] for item, index in zip(lists, picked, strict=True)]
    return float(bleu(np.sum(rows, axis=0)))


def better_or_start(
    lists: Sequence[TuningList], start: Floats, found: TunedWeights
) -> TunedWeights:
    """Return the tuned weights, scaled to sum(|w|) = 1, or `start` if they are not better.

    Args:
        lists: the lists that the weights were tuned on.
        start: starting point of the tuner; returned unchanged.
        found: the best weights that the tuner found.
    """
    before = corpus_bleu(lists, start)
    size = np.abs(found.weights).sum()
    usable = bool(np.isfinite(size)) and size > 0
    if not usable or corpus_bleu(lists, found.weights) <= before + MIN_GAIN:
        return TunedWeights(start, before)
    return TunedWeights(found.weights / size, found.bleu)


@dataclass(frozen=True)
class Envelopes:
    """The best hypothesis of each list along a line in weight space.

    Attributes:
        first: (L,) the best hypothesis at gamma = -infinity.
        lists, gammas, before, after: (E,) in list `lists` the best hypothesis changes from `before`
            to `after` at `gammas`.
    """

    first: Indices
    lists: Indices
    gammas: Floats
    before: Indices
    after: Indices


def upper_envelopes(slopes: Floats, intercepts: Floats) -> Envelopes:
    """Compute the upper envelopes of the lines intercept + gamma * slope for many lists at once.

    The envelope starts with the line that is highest at -infinity. Each step goes to the line that
    crosses the current line first, the steepest if several cross there. Of equal lines it takes the
    first.

    Args:
        slopes, intercepts: (L, n); lists with fewer hypotheses are padded with slope -inf.
    """
    real = np.where(np.isfinite(slopes), slopes, np.inf)
    lowest = slopes == real.min(axis=1, keepdims=True)
    first = np.where(lowest, intercepts, -np.inf).argmax(axis=1)
    rows = np.arange(len(slopes))
    current = first
    found: list[tuple[Indices, Floats, Indices, Indices]] = []
    while len(rows):
        here = np.arange(len(rows))
        rise = slopes - slopes[here, current][:, None]
        drop = intercepts[here, current][:, None] - intercepts
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            crossings = np.where(rise > 0, drop / rise, np.inf)
        gammas = crossings.min(axis=1)
        after = np.where(crossings == gammas[:, None], slopes, -np.inf).argmax(axis=1)
        going = np.isfinite(gammas)
        found.append((rows[going], gammas[going], current[going], after[going]))
        rows, current = rows[going], after[going]
        slopes, intercepts = slopes[going], intercepts[going]
    parts = [np.concatenate(column) for column in zip(*found, strict=True)]
    return Envelopes(first, *parts)


class PaddedLists:
    """Lists of unequal length in padded arrays: features (L, n, F), statistics (L, n, 9)."""

    def __init__(self, lists: Sequence[TuningList]) -> None:
        longest = max(len(item.features) for item in lists)
        width = lists[0].features.shape[1]
        self.features = np.zeros((len(lists), longest, width))
        self.statistics = np.zeros((len(lists), longest, COLUMNS), dtype=np.int32)
        self.present = np.zeros((len(lists), longest), dtype=bool)
        for row, item in enumerate(lists):
            self.features[row, : len(item.features)] = item.features
            self.statistics[row, : len(item.features)] = item.statistics
            self.present[row, : len(item.features)] = True

    def bleu(self, weights: Floats) -> float:
        """Return the corpus BLEU in percent of the best hypotheses under the weights."""
        scores = np.where(self.present, self.features @ weights, -np.inf)
        rows = np.arange(len(scores))
        chosen = self.statistics[rows, scores.argmax(axis=1)]
        return float(bleu(chosen.sum(axis=0, dtype=np.int64)))

    def best_on_line(self, weights: Floats, direction: Floats) -> tuple[float, float]:
        """Find the gamma that maximizes the corpus BLEU of weights + gamma * direction (Och 2003).

        BLEU is constant between the values of gamma at which a list's best hypothesis changes. The
        search is exact: it computes BLEU of every interval.

        Returns:
            (middle of the best interval, corpus BLEU in percent).
        """
        slopes = np.where(self.present, self.features @ direction, -np.inf)
        found = upper_envelopes(slopes, self.features @ weights)
        rows = np.arange(len(slopes))
        total = self.statistics[rows, found.first].sum(axis=0, dtype=np.int64)
        if not len(found.gammas):
            return 0.0, float(bleu(total))
        changes = self.statistics[found.lists, found.after].astype(np.int64)
        changes -= self.statistics[found.lists, found.before]
        order = np.argsort(found.gammas, kind="stable")
        edges = found.gammas[order]
        sums = np.vstack([total, total + np.cumsum(changes[order], axis=0)])
        # an interval between two equal edges is empty
        real = np.concatenate([[True], np.diff(edges) > 0, [True]])
        scores = np.where(real, bleu(sums), -1.0)
        middles = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
        best = float(scores.max())
        equal = np.flatnonzero(scores >= best - 1e-12)
        nearest = equal[np.argmin(np.abs(middles[equal]))]  # on a tie, the smallest step
        return float(middles[nearest]), best


class LineSearch:
    """The tuner `line-search` (Och 2003): searches along coordinates and random directions."""

    def __init__(self, config: LineSearchConfig) -> None:
        self.config = config

    def __call__(self, lists: Sequence[TuningList], start: Floats) -> TunedWeights:
        """Return the best weights over all starting points, or `start`; see `better_or_start`."""
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        scale = spreads(lists)
        padded = PaddedLists(lists)
        results = [self._climb(padded, start, scale, generator)]
        for _ in range(self.config.restarts):
            point = np.abs(generator.normal(size=len(start))) * np.sign(start + (start == 0))
            results.append(self._climb(padded, point / scale, scale, generator))
        return better_or_start(lists, start, max(results, key=lambda result: result.bleu))

    def _climb(
        self,
        lists: PaddedLists,
        weights: Floats,
        scale: Floats,
        generator: np.random.Generator,
    ) -> TunedWeights:
        """Search along lines from one starting point until BLEU no longer improves."""
        score = lists.bleu(weights)
        while True:
            directions = [row / scale for row in np.eye(len(weights))]
            for _ in range(self.config.directions):
                directions.append(generator.normal(size=len(weights)) / scale)
            found = [(*lists.best_on_line(weights, d), d) for d in directions]
            gamma, _, direction = max(found, key=lambda item: item[1])
            moved = weights + gamma * direction
            reached = lists.bleu(moved)
            if reached <= score + 1e-9:
                return TunedWeights(weights, score)
            weights, score = moved, reached


def spreads(lists: Sequence[TuningList]) -> Floats:
    """Return (F,) each feature's spread: root of the mean variance within lists, 1 if that is 0."""
    variances = np.mean([item.features.var(axis=0) for item in lists], axis=0)
    result: Floats = np.sqrt(variances)
    return np.where(result > 0, result, 1.0)
