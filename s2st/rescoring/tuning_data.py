"""Data for tuning, spreads and the oracle: features and metric statistics of all lists, no text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s2st.rescoring.array_pile import ArrayPile
from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.feature_weights import BASELINE, MODEL, Column, Features, Weights, competes
from s2st.rescoring.metrics import Metric
from s2st.rescoring.tuning_lists import TuningList, spreads

MEMORY = 4 << 30  # bytes of features, and of statistics, that stay in memory
QR_LISTS = 256  # lists whose rows are reduced together


@dataclass(frozen=True)
class Collection:
    """Feature matrices of all lists over common columns, with the metric's statistics if known.

    Hypotheses with a feature that is not finite are left out.

    Attributes:
        columns: the columns of all feature matrices.
        lists: the lists with at least one hypothesis.
        dropped: number of hypotheses left out.
        dropped_lists: number of lists left out because they have no other hypothesis.
        memory: bytes of features to keep in memory; see ArrayPile.
    """

    columns: tuple[Column, ...]
    lists: tuple[TuningList, ...]
    dropped: int
    dropped_lists: int = 0
    memory: int = MEMORY

    def chosen(self, own_features: bool) -> "Collection":
        """Return the collection with only the columns that tuning weighs; see `competes`."""
        kept = [
            index
            for index, column in enumerate(self.columns)
            if competes(column.name, own_features)
        ]
        if len(kept) == len(self.columns):
            return self
        pile = ArrayPile(np.float64, self.memory)
        for item in self.lists:
            pile.append(item.features[:, kept])
        lists = divided(pile.finish(), [item.statistics for item in self.lists], len(kept))
        return replace(self, columns=tuple(self.columns[i] for i in kept), lists=lists)

    def left_out(self, sources: int) -> list[str]:
        """Return warnings about hypotheses and lists that are left out, one line each.

        Args:
            sources: number of source lines that should have a list; 0 skips this check.
        """
        texts = []
        if self.dropped:
            text = (
                f"{self.dropped} hypotheses have a total or feature that is not finite; tuning and "
                "reports leave them out"
            )
            if self.dropped_lists:
                text += f", and {self.dropped_lists} lists that have no others"
            texts.append(text)
        missing = sources - len(self.lists) - self.dropped_lists
        if missing > 0:
            text = f"{missing} of {sources} source lines have no hypotheses"
            texts.append(f"{text}; tuning leaves them out")
        return texts

    def spread(self) -> dict[str, float]:
        """Return each feature's spread within the lists, the largest of its columns."""
        found: dict[str, float] = {}
        for column, value in zip(self.columns, spreads(self.lists).tolist(), strict=True):
            found[column.name] = max(found.get(column.name, 0.0), value)
        return found

    def normalized(self, weights: Weights) -> Weights:
        """Return the weights divided by the spreads of their features."""
        values = {name: list(numbers) for name, numbers in weights.values.items()}
        for column, value in zip(self.columns, spreads(self.lists).tolist(), strict=True):
            numbers = values.get(column.name, [])
            if column.index < len(numbers):
                numbers[column.index] /= value
        return Weights({name: tuple(numbers) for name, numbers in values.items()})

    def baseline_weights(self) -> Weights:
        """Estimate by least squares the weights of the baseline's own features in its totals.

        Totals and features are centered in each list, because values that are constant in a list,
        such as the penalty of unknown words, do not change the ranking.
        """
        baseline_columns = [
            i
            for i, c in enumerate(self.columns)
            if not c.name.startswith(MODEL) and competes(c.name, own_features=True)
        ]
        total = [i for i, c in enumerate(self.columns) if c.name == BASELINE]
        wanted = [*baseline_columns, total[0]]
        table = np.zeros((0, len(wanted)))
        waiting: list[Floats] = []
        for item in self.lists:
            waiting.append(item.features[:, wanted] - item.features[:, wanted].mean(axis=0))
            if len(waiting) == QR_LISTS:
                # the triangular factor has the same least-squares solution as its rows
                table = _triangular(np.vstack([table, *waiting]))
                waiting = []
        table = np.vstack([table, *waiting])
        found = np.linalg.lstsq(table[:, :-1], table[:, -1], rcond=None)[0]
        values: dict[str, list[float]] = {}
        for index, weight in zip(baseline_columns, found.tolist(), strict=True):
            values.setdefault(self.columns[index].name, []).append(weight)
        return Weights({name: tuple(weights) for name, weights in values.items()})


def _triangular(rows: Floats) -> Floats:
    return np.array(np.linalg.qr(rows, mode="r"))


def divided(
    features: Floats, statistics: Sequence[Statistics], width: int
) -> tuple[TuningList, ...]:
    """Return lists from the flat features of all lists, without a copy.

    Args:
        features: (N * width,) the features of all hypotheses, row by row.
        statistics: (n, K) of each list.
        width: number of features of a hypothesis.
    """
    lists = []
    start = 0
    for rows in statistics:
        end = start + len(rows) * width
        lists.append(TuningList(features[start:end].reshape(len(rows), width), rows))
        start = end
    return tuple(lists)


class Collector:
    """Builds a Collection from lists, one after the other.

    Args:
        references: reference lines of every sentence; None if no statistics are needed.
        metric: the metric of the statistics.
        memory: bytes of features, and of statistics, to keep in memory; see ArrayPile.
    """

    def __init__(
        self, references: Sequence[Sequence[str]] | None, metric: Metric, memory: int = MEMORY
    ) -> None:
        self._references = references
        self._metric = metric
        self._memory = memory
        self._columns: dict[Column, int] = {}
        self._shapes: list[tuple[int, int]] = []  # hypotheses and columns of each list
        self._features = ArrayPile(np.float64, memory)
        self._statistics = ArrayPile(np.int32, memory)
        self._dropped = 0
        self._dropped_lists = 0

    def add(self, identifier: int, hypotheses: Sequence[str], features: Sequence[Features]) -> None:
        """Add one list: sentence number, texts and features of its hypotheses."""
        rows = []
        for hypothesis_features in features:
            row: dict[int, float] = {}
            for name, numbers in hypothesis_features:
                for index, number in enumerate(numbers):
                    row[self._columns.setdefault(Column(name, index), len(self._columns))] = number
            rows.append(row)
        matrix = np.zeros((len(rows), len(self._columns)))
        for position, row in enumerate(rows):
            matrix[position, list(row)] = list(row.values())
        finite = np.all(np.isfinite(matrix), axis=1)
        self._dropped += int((~finite).sum())
        if not finite.any():
            self._dropped_lists += 1
            return
        kept = [hypotheses[int(i)] for i in np.nonzero(finite)[0]]
        matrix = matrix[finite]
        self._shapes.append((len(matrix), matrix.shape[1]))
        self._features.append(matrix)
        self._statistics.append(self._compare(identifier, kept))

    def _compare(self, identifier: int, hypotheses: Sequence[str]) -> Statistics:
        if self._references is None:
            return np.zeros((len(hypotheses), 0), dtype=np.int64)
        return self._metric.statistics(hypotheses, self._references[identifier])

    def finish(self) -> Collection:
        """Return all lists over the union of their columns; a missing feature has value 0."""
        width = len(self._columns)
        columns = 0 if self._references is None else self._metric.columns
        flat, statistics = self._features.finish(), self._statistics.finish()
        if any(known < width for _, known in self._shapes):  # columns appeared later
            flat = self._padded(flat, width)
        ends = np.cumsum([0, *(count for count, _ in self._shapes)]) * columns
        rows = [
            statistics[ends[i] : ends[i + 1]].reshape(count, columns)
            for i, (count, _) in enumerate(self._shapes)
        ]
        lists = divided(flat, rows, width)
        names = tuple(self._columns)
        return Collection(names, lists, self._dropped, self._dropped_lists, self._memory)

    def _padded(self, flat: Floats, width: int) -> Floats:
        """Return the features of all lists with a column of zeros for each missing feature."""
        pile = ArrayPile(np.float64, self._memory)
        start = 0
        for count, known in self._shapes:
            end = start + count * known
            pile.append(np.pad(flat[start:end].reshape(count, known), ((0, 0), (0, width - known))))
            start = end
        return pile.finish()
