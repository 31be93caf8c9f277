"""Och's line search (MERT): a tuner that maximizes a corpus metric exactly along lines of weights.

Lists are processed in blocks of at most CELLS hypotheses, so memory beyond the lists themselves is
that of a block, and of the places where a list's best hypothesis changes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.metrics import Metric
from s2st.rescoring.registry import LineSearchConfig
from s2st.rescoring.tuning_lists import (
    MIN_GAIN,
    Indices,
    TunedWeights,
    TuningList,
    better_or_start,
    spreads,
)

CELLS = 1 << 20  # hypotheses of a block, with padding
KEPT_BLOCKS = 4  # lists of so many blocks stay in padded arrays
MIN_PENALIZED_GAIN = 0.01  # points of the metric; with a penalty, ever smaller gains never end
EDGES = 1 << 16  # changes of the best hypothesis whose scores are computed together
Changes = npt.NDArray[np.int32]
Penalty = Callable[[Floats], Floats]


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
    """Lists of unequal length in padded arrays: features (L, n, F), statistics (L, n, K)."""

    def __init__(self, lists: Sequence[TuningList]) -> None:
        longest = max(len(item.features) for item in lists)
        width = lists[0].features.shape[1]
        columns = lists[0].statistics.shape[1]
        self.features = np.zeros((len(lists), longest, width))
        self.statistics = np.zeros((len(lists), longest, columns), dtype=np.int32)
        self.present = np.zeros((len(lists), longest), dtype=bool)
        for row, item in enumerate(lists):
            self.features[row, : len(item.features)] = item.features
            self.statistics[row, : len(item.features)] = item.statistics
            self.present[row, : len(item.features)] = True

    def total(self, weights: Floats) -> Statistics:
        """Return (K,) the summed statistics of the best hypotheses under the weights."""
        scores = np.where(self.present, self.features @ weights, -np.inf)
        rows = np.arange(len(scores))
        chosen = self.statistics[rows, scores.argmax(axis=1)]
        total: Statistics = chosen.sum(axis=0, dtype=np.int64)
        return total

    def changes(self, weights: Floats, direction: Floats) -> tuple[Statistics, Floats, Changes]:
        """Return how the summed statistics change along weights + gamma * direction.

        Returns:
            (K,) the sum at gamma = -infinity; (E,) the gammas of the changes; (E, K) the changes.
        """
        slopes = np.where(self.present, self.features @ direction, -np.inf)
        found = upper_envelopes(slopes, self.features @ weights)
        rows = np.arange(len(slopes))
        total = self.statistics[rows, found.first].sum(axis=0, dtype=np.int64)
        differences = self.statistics[found.lists, found.after]
        differences -= self.statistics[found.lists, found.before]
        return total, found.gammas, differences


class ListBlocks:
    """The lists of a search, in blocks of padded lists.

    Args:
        lists: at least one list.
        metric: the metric of their statistics.
        cells: hypotheses of a block, with padding.
    """

    def __init__(self, lists: Sequence[TuningList], metric: Metric, cells: int = CELLS) -> None:
        self._lists = lists
        self._metric = metric
        self._parts = _parts([len(item.features) for item in lists], cells)
        self._kept: list[PaddedLists] | None = None
        if len(self._parts) <= KEPT_BLOCKS:
            self._kept = [self._block(part) for part in self._parts]

    def score(self, weights: Floats) -> float:
        """Return the corpus score in percent of the best hypotheses under the weights."""
        totals = [block.total(weights) for block in self._blocks()]
        return float(self._metric.corpus(np.sum(totals, axis=0)))

    def best_on_line(
        self, weights: Floats, direction: Floats, penalty: Penalty | None = None
    ) -> tuple[float, float]:
        """Find the gamma that maximizes the score of weights + gamma * direction (Och 2003).

        The score is constant between the values of gamma at which a list's best hypothesis changes.
        The search is exact: it computes the score of every interval.

        Args:
            weights, direction: (F,).
            penalty: takes gammas (M,) and returns (M,) what to subtract from their scores.

        Returns:
            (middle of the best interval, its score in percent minus the penalty).
        """
        parts = [block.changes(weights, direction) for block in self._blocks()]
        total = np.sum([part[0] for part in parts], axis=0)
        gammas = np.concatenate([part[1] for part in parts])
        if not len(gammas):
            return 0.0, float(self._metric.corpus(total)) - _at(penalty, 0.0)
        changes = np.concatenate([part[2] for part in parts])
        del parts
        order = np.argsort(gammas, kind="stable")
        edges = gammas[order]
        scores = self._interval_scores(total, changes, order)
        # an interval between two equal edges is empty
        real = np.concatenate([[True], np.diff(edges) > 0, [True]])
        middles = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
        if penalty is not None:
            scores -= penalty(middles)
        scores[~real] = -np.inf
        best = float(scores.max())
        equal = np.flatnonzero(scores >= best - 1e-12)
        nearest = equal[np.argmin(np.abs(middles[equal]))]  # on a tie, the smallest step
        return float(middles[nearest]), best

    def _interval_scores(self, total: Statistics, changes: Changes, order: Indices) -> Floats:
        """Return (E + 1,) the scores of the intervals between E changes in an order."""
        scores = np.empty(len(order) + 1)
        scores[0] = self._metric.corpus(total)
        for start in range(0, len(order), EDGES):
            part = order[start : start + EDGES]
            sums = total + np.cumsum(changes[part], axis=0, dtype=np.int64)
            scores[start + 1 : start + 1 + len(part)] = self._metric.corpus(sums)
            total = sums[-1]
        return scores

    def _blocks(self) -> Iterator[PaddedLists]:
        if self._kept is not None:
            yield from self._kept
            return
        for part in self._parts:
            yield self._block(part)

    def _block(self, part: slice) -> PaddedLists:
        return PaddedLists(self._lists[part])


def _parts(sizes: Sequence[int], cells: int) -> list[slice]:
    """Divide lists of some sizes into runs that have at most `cells` hypotheses when padded."""
    parts = []
    start = longest = 0
    for index, size in enumerate(sizes):
        longest = max(longest, size)
        if index > start and longest * (index + 1 - start) > cells:
            parts.append(slice(start, index))
            start, longest = index, size
    return [*parts, slice(start, len(sizes))]


def _at(penalty: Penalty | None, gamma: float) -> float:
    return 0.0 if penalty is None else float(penalty(np.array([gamma]))[0])


class LineSearch:
    """The tuner `line-search` (Och 2003): searches along coordinates and random directions.

    With `--regularize`, it maximizes the score minus a penalty: the squared distance of the weights
    from the initial weights, both times the features' spreads and scaled to length 1 (as
    regularized MERT, Galley et al. 2013). The penalty is exact at the middle of each interval. It
    is smooth, so some direction nearly always gains a little: a climb ends when its best step gains
    less than MIN_PENALIZED_GAIN.
    """

    def __init__(self, config: LineSearchConfig) -> None:
        self.config = config
        self._min_gain = MIN_PENALIZED_GAIN if config.regularize else MIN_GAIN

    def __call__(self, lists: Sequence[TuningList], start: Floats, metric: Metric) -> TunedWeights:
        """Return the best weights over all starting points, or `start`; see `better_or_start`."""
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        blocks = ListBlocks(lists, metric)
        distance = Distance(start, spreads(lists), self.config.regularize)
        results = [self._climb(blocks, start, distance, generator)]
        for _ in range(self.config.restarts):
            point = np.abs(generator.normal(size=len(start))) * np.sign(start + (start == 0))
            results.append(self._climb(blocks, point / distance.scale, distance, generator))
        best = max(results, key=lambda result: result.score).weights
        return better_or_start(lists, start, TunedWeights(best, blocks.score(best)), metric)

    def _climb(
        self,
        lists: ListBlocks,
        weights: Floats,
        distance: "Distance",
        generator: np.random.Generator,
    ) -> TunedWeights:
        """Search along lines from one starting point until the score no longer improves."""

        def objective(point: Floats) -> float:
            return lists.score(point) - float(distance.penalties(point[None, :])[0])

        score = objective(weights)
        while True:
            directions = [row / distance.scale for row in np.eye(len(weights))]
            for _ in range(self.config.directions):
                directions.append(generator.normal(size=len(weights)) / distance.scale)
            found = []
            for direction in directions:
                penalty = distance.along(weights, direction)
                found.append((*lists.best_on_line(weights, direction, penalty), direction))
            gamma, _, direction = max(found, key=lambda item: item[1])
            moved = weights + gamma * direction
            reached = objective(moved)
            if reached <= score + self._min_gain:
                return TunedWeights(weights, score)
            weights, score = moved, reached


@dataclass(frozen=True)
class Distance:
    """The penalty of weights for their distance from the initial weights.

    Attributes:
        start: (F,) the initial weights.
        scale: (F,) the features' spreads.
        strength: the penalty of weights at a right angle to the initial ones is twice this value.
    """

    start: Floats
    scale: Floats
    strength: float

    def penalties(self, points: Floats) -> Floats:
        """Return (M,) the penalty of each of (M, F) weights."""
        if not self.strength:
            return np.zeros(len(points))
        difference = _unit(points * self.scale) - _unit(self.start * self.scale)
        found: Floats = self.strength * np.square(difference).sum(axis=-1)
        return found

    def along(self, weights: Floats, direction: Floats) -> Penalty | None:
        """Return the penalty of weights + gamma * direction, as a function of gamma."""
        if not self.strength:
            return None
        return lambda gammas: np.concatenate(
            [
                self.penalties(weights + gammas[start : start + EDGES, None] * direction)
                for start in range(0, len(gammas), EDGES)
            ]
        )


def _unit(points: Floats) -> Floats:
    length = np.linalg.norm(points, axis=-1, keepdims=True)
    return points / np.where(length > 0, length, 1.0)
