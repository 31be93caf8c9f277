"""Spread (standard deviation) of scores within n-best lists, and counts of non-finite totals.

Both are measured while the lists are streamed.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


class HasScores(Protocol):
    """A list of n hypotheses with scores."""

    @property
    def totals(self) -> list[float]:
        """The baseline's total of each hypothesis."""

    @property
    def model_scores(self) -> npt.NDArray[np.float64]:
        """(n, K) scores of K models."""


class SpreadMeter:
    """Root of the mean variance within a list, of the totals and of the first model's scores."""

    def __init__(self) -> None:
        self._lists = 0
        self._variances = [0.0, 0.0]

    def add(self, item: HasScores) -> None:
        """Add one list; scores that are not finite are left out."""
        self._lists += 1
        for index, values in enumerate((np.array(item.totals), item.model_scores[:, 0])):
            finite = values[np.isfinite(values)]
            self._variances[index] += float(finite.var()) if len(finite) else 0.0

    def spreads(self) -> tuple[float, float]:
        """Return the spread of the totals, and that of the first model's scores."""
        first, second = (math.sqrt(value / max(1, self._lists)) for value in self._variances)
        return first, second


class FiniteMeter:
    """Counts hypotheses whose new total is not finite; such hypotheses rank last."""

    def __init__(self) -> None:
        self._hypotheses = 0
        self._lists = 0

    def watch(self, items: Iterable[T], totals: Callable[[T], list[float]]) -> Iterator[T]:
        """Yield the items and count their totals; `totals` returns the new totals of one item."""
        for item in items:
            finite = [math.isfinite(total) for total in totals(item)]
            self._hypotheses += finite.count(False)
            self._lists += not any(finite)
            yield item

    def warnings(self, path: str) -> list[str]:
        """Return warnings about the output of a file, one line each."""
        if not self._hypotheses:
            return []
        text = f"{self._hypotheses} hypotheses have a total that is not finite: they rank last"
        if self._lists:
            text += f"; {self._lists} lists have no others, and their first hypothesis is chosen"
        return [f"{'standard input' if path == '-' else path}: {text}"]
