"""How far scores lie apart within lists, measured as lists stream by."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


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


class FiniteMeter:
    """Counts hypotheses whose new total is not finite, which rank last, as lists stream by."""

    def __init__(self) -> None:
        self._hypotheses = 0
        self._lists = 0

    def watch(self, items: Iterable[T], totals: Callable[[T], list[float]]) -> Iterator[T]:
        """Yields the items; `totals` takes the new totals of one."""
        for item in items:
            finite = [math.isfinite(total) for total in totals(item)]
            self._hypotheses += finite.count(False)
            self._lists += not any(finite)
            yield item

    def warnings(self, path: str) -> list[str]:
        """What the reader of the output should know, one line each."""
        if not self._hypotheses:
            return []
        text = f"{self._hypotheses} hypotheses have a total that is not finite: they rank last"
        if self._lists:
            text += f"; {self._lists} lists have no other, and their first hypothesis is chosen"
        return [f"{'standard input' if path == '-' else path}: {text}"]
