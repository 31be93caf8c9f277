"""How far scores lie apart within lists, measured as lists stream by."""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt


class HasScores(Protocol):
    """What is measured: a list's own totals and its models' scores (n, K)."""

    @property
    def totals(self) -> list[float]:
        """The system's total of every hypothesis."""

    @property
    def model_scores(self) -> npt.NDArray[np.float64]:
        """(n, K) scores of the models."""


class SpreadMeter:
    """Root of the mean variance within a list, of the totals and of the first model's scores."""

    def __init__(self) -> None:
        self._lists = 0
        self._variances = [0.0, 0.0]

    def add(self, item: HasScores) -> None:
        """One list; scores that are not finite are left out."""
        self._lists += 1
        for index, values in enumerate((np.array(item.totals), item.model_scores[:, 0])):
            finite = values[np.isfinite(values)]
            self._variances[index] += float(finite.var()) if len(finite) else 0.0

    def spreads(self) -> tuple[float, float]:
        """(of the totals, of the model's scores)."""
        first, second = (math.sqrt(value / max(1, self._lists)) for value in self._variances)
        return first, second
