"""Tuners (registry): weights of features that maximise BLEU of the chosen hypotheses.

A tuner sees, for each list, a matrix of features and BLEU statistics; it never sees text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.config import option
from s2st.registry import Registry
from s2st.rescoring.statistics import COLUMNS, Statistics, bleu

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TuningList:
    """One n-best list: `features` (n, F) and `statistics` (n, 9), row i of both hypothesis i."""

    features: Floats
    statistics: Statistics


@dataclass(frozen=True)
class TunedWeights:
    """What a tuner found: weights (F,) and the corpus BLEU (percent) that they reach."""

    weights: Floats
    bleu: float


Tuner = Callable[[Sequence[TuningList], Floats], TunedWeights]
TUNERS: Registry[Tuner] = Registry("tuner")


@dataclass(frozen=True)
class LineSearchConfig:
    """Options of `line-search`."""

    restarts: int = option(5, "random starting points beside the given one", minimum=0)
    directions: int = option(10, "random directions tried beside the coordinates", minimum=0)
    tuning_seed: int = option(1, "seed of starting points and directions", minimum=0)


@dataclass(frozen=True)
class MiraConfig:
    """Options of `mira`."""

    mira_c: float = option(0.01, "largest step of an update", minimum=0)
    mira_epochs: int = option(30, "passes over the lists", minimum=1)
    mira_decay: float = option(0.999, "decay of the background statistics", minimum=0, maximum=1)
    tuning_seed: int = option(1, "seed of the order of the lists", minimum=0)


def choose(lists: Sequence[TuningList], weights: Floats) -> Indices:
    """(lists,) the best hypothesis of each list under the weights, the first of equals."""
    return np.array([int(np.argmax(item.features @ weights)) for item in lists], dtype=np.int64)


def corpus_bleu(lists: Sequence[TuningList], weights: Floats) -> float:
    """BLEU (percent) of the best hypotheses under the weights."""
    picked = choose(lists, weights)
    rows = [item.statistics[index] for item, index in zip(lists, picked, strict=True)]
    return float(bleu(np.sum(rows, axis=0)))


def upper_envelope(slopes: Floats, intercepts: Floats) -> tuple[list[int], list[float]]:
    """The lines that are highest somewhere, from left to right.

    Args:
        slopes, intercepts: (n,) line i is intercepts[i] + gamma * slopes[i].

    Returns:
        Indices of lines, and the gammas where each but the first takes over. Of equal lines the
        first is taken.
    """
    lowest = slopes.min()
    current = int(np.argmax(np.where(slopes == lowest, intercepts, -np.inf)))
    chosen, starts = [current], []
    while True:
        steeper = np.flatnonzero(slopes > slopes[current])
        if not len(steeper):
            return chosen, starts
        with np.errstate(over="ignore"):
            crossings = (intercepts[current] - intercepts[steeper]) / (
                slopes[steeper] - slopes[current]
            )
        first = crossings.min()
        if not np.isfinite(first):
            return chosen, starts
        meeting = steeper[crossings == first]
        current = int(meeting[np.argmax(slopes[meeting])])
        if starts and first <= starts[-1]:  # rounding: the line before it is highest nowhere
            chosen.pop()
            first = starts.pop()
        chosen.append(current)
        starts.append(float(first))


def best_on_line(
    lists: Sequence[TuningList], weights: Floats, direction: Floats
) -> tuple[float, float]:
    """The gamma that maximises corpus BLEU of weights + gamma * direction (Och 2003).

    BLEU is constant between the gammas where some list's best hypothesis changes, so the search
    is exact: every interval is looked at, and the middle of the best one returned.

    Returns:
        (gamma, corpus BLEU in percent).
    """
    total = np.zeros(COLUMNS, dtype=np.int64)
    gammas: list[float] = []
    changes: list[Statistics] = []
    for item in lists:
        chosen, starts = upper_envelope(item.features @ direction, item.features @ weights)
        rows = item.statistics[chosen]
        total += rows[0]
        gammas += starts
        changes += list(rows[1:] - rows[:-1])
    if not gammas:
        return 0.0, float(bleu(total))
    order = np.argsort(gammas, kind="stable")
    edges = np.array(gammas)[order]
    sums = np.vstack([total, total + np.cumsum(np.array(changes)[order], axis=0)])
    # an interval between two equal edges is empty
    real = np.concatenate([[True], np.diff(edges) > 0, [True]])
    scores = np.where(real, bleu(sums), -1.0)
    middles = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    best = float(scores.max())
    equal = np.flatnonzero(scores >= best - 1e-12)
    nearest = equal[np.argmin(np.abs(middles[equal]))]  # stay close where there is a choice
    return float(middles[nearest]), best


class LineSearch:
    """Och (2003): exact line searches along coordinates and random directions, with restarts."""

    def __init__(self, config: LineSearchConfig) -> None:
        self.config = config

    def __call__(self, lists: Sequence[TuningList], start: Floats) -> TunedWeights:
        """The best weights over all starting points, scaled so that |w| sums to 1."""
        generator = np.random.Generator(np.random.PCG64(self.config.tuning_seed))
        scale = spreads(lists)
        results = [self._climb(lists, start, scale, generator)]
        for _ in range(self.config.restarts):
            point = np.abs(generator.normal(size=len(start))) * np.sign(start + (start == 0))
            results.append(self._climb(lists, point / scale, scale, generator))
        best = max(results, key=lambda result: result.bleu)
        return TunedWeights(best.weights / np.abs(best.weights).sum(), best.bleu)

    def _climb(
        self,
        lists: Sequence[TuningList],
        weights: Floats,
        scale: Floats,
        generator: np.random.Generator,
    ) -> TunedWeights:
        score = corpus_bleu(lists, weights)
        while True:
            directions = [row / scale for row in np.eye(len(weights))]
            for _ in range(self.config.directions):
                directions.append(generator.normal(size=len(weights)) / scale)
            found = [(*best_on_line(lists, weights, d), d) for d in directions]
            gamma, _, direction = max(found, key=lambda item: item[1])
            moved = weights + gamma * direction
            reached = corpus_bleu(lists, moved)
            if reached <= score + 1e-9:
                return TunedWeights(weights, score)
            weights, score = moved, reached


def spreads(lists: Sequence[TuningList]) -> Floats:
    """(F,) each feature's spread: root of the mean variance within a list; 1 where it is 0."""
    variances = np.mean([item.features.var(axis=0) for item in lists], axis=0)
    result: Floats = np.sqrt(variances)
    return np.where(result > 0, result, 1.0)


def build_line_search(config: LineSearchConfig) -> Tuner:
    """The tuner `line-search`."""
    return LineSearch(config)


TUNERS.register(
    "line-search", LineSearchConfig, build_line_search, "exact line search over BLEU (Och 2003)"
)
TUNERS.register("mira", MiraConfig, "s2st.rescoring.mira:Mira", "batch MIRA (Cherry & Foster 2012)")
