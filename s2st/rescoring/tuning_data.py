"""Data for tuning, spreads and the oracle: features and BLEU statistics of all lists, no text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s2st.rescoring.bleu_statistics import Floats, ReferenceCounts, Statistics
from s2st.rescoring.feature_weights import BASELINE, MODEL, Column, Features, Weights, competes
from s2st.rescoring.line_search import TuningList, spreads


@dataclass(frozen=True)
class Collection:
    """Feature matrices of all lists over common columns, with BLEU statistics if known.

    Hypotheses with a feature that is not finite are left out.

    Attributes:
        columns: the columns of all feature matrices.
        lists: the lists with at least one hypothesis.
        dropped: number of hypotheses left out.
        dropped_lists: number of lists left out because they have no other hypothesis.
    """

    columns: tuple[Column, ...]
    lists: tuple[TuningList, ...]
    dropped: int
    dropped_lists: int = 0

    def chosen(self, own_features: bool) -> "Collection":
        """Return the collection with only the columns that tuning weighs; see `competes`."""
        kept = [
            index
            for index, column in enumerate(self.columns)
            if competes(column.name, own_features)
        ]
        lists = tuple(TuningList(x.features[:, kept], x.statistics) for x in self.lists)
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
            if not c.name.startswith(MODEL) and c.name != BASELINE
        ]
        total = [i for i, c in enumerate(self.columns) if c.name == BASELINE]
        rows = [x.features - x.features.mean(axis=0) for x in self.lists]
        table = np.vstack(rows)
        found = np.linalg.lstsq(table[:, baseline_columns], table[:, total[0]], rcond=None)[0]
        values: dict[str, list[float]] = {}
        for index, weight in zip(baseline_columns, found.tolist(), strict=True):
            values.setdefault(self.columns[index].name, []).append(weight)
        return Weights({name: tuple(weights) for name, weights in values.items()})


class Collector:
    """Builds a Collection from lists, one after the other.

    Args:
        references: reference lines of every sentence; None if BLEU is not needed.
    """

    def __init__(self, references: Sequence[Sequence[str]] | None) -> None:
        self._references = references
        self._columns: dict[Column, int] = {}
        self._matrices: list[Floats] = []
        self._statistics: list[Statistics] = []
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
        self._matrices.append(matrix[finite])
        self._statistics.append(self._compare(identifier, kept))

    def _compare(self, identifier: int, hypotheses: Sequence[str]) -> Statistics:
        if self._references is None:
            return np.zeros((len(hypotheses), 0), dtype=np.int64)
        counts = ReferenceCounts(self._references[identifier])
        return np.array([counts.compare(text) for text in hypotheses], dtype=np.int64)

    def finish(self) -> Collection:
        """Return all lists over the union of their columns; a missing feature has value 0."""
        width = len(self._columns)
        lists = tuple(
            TuningList(np.pad(m, ((0, 0), (0, width - m.shape[1]))), s)
            for m, s in zip(self._matrices, self._statistics, strict=True)
        )
        return Collection(tuple(self._columns), lists, self._dropped, self._dropped_lists)
