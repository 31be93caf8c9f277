"""The history of a training: its reports and validations, from `metrics.jsonl` and the checkpoint.

Runs of older versions of s2st have no `metrics.jsonl`; the checkpoint has their validations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2st.errors import CheckpointError
from s2st.options.option_fields import load_json
from s2st.text.line_files import read_lines
from s2st.training.checkpoint import STATE, ResumedRun
from s2st.training.checkpoint_folder import LAST
from s2st.training.metrics_file import NAME
from s2st.training.validation import PERPLEXITY

_MOST_POINTS = 400  # of a curve; more would only make the page large


@dataclass(frozen=True)
class Validation:
    """One validation; None for what is unknown or not finite.

    Attributes:
        update, epoch: updates done; epochs done with fraction.
        train_nll, nll: training and validation loss, nats per token.
        learning_rate: of the last update.
        metrics: values of the metrics of translations.
    """

    update: int
    epoch: float
    train_nll: float | None
    nll: float | None
    learning_rate: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingHistory:
    """Reports and validations of a run.

    Attributes:
        validations: in the order of updates.
        training: (epoch, loss in nats per token) of the training text, at most some hundreds.
        best: the best validation; None if there is none.
        metric: name of the metric that decides.
    """

    validations: Sequence[Validation]
    training: Sequence[tuple[float, float]]
    best: Validation | None
    metric: str

    def metric_names(self) -> list[str]:
        """Return the names of all metrics of translations."""
        return list(dict.fromkeys(name for one in self.validations for name in one.metrics))


def read_history(folder: Path, run: ResumedRun) -> TrainingHistory:
    """Read the history of a run.

    Args:
        folder: the save folder.
        run: its last checkpoint.

    Raises:
        CheckpointError: the file or the checkpoint has a record that no run can have written.
    """
    metric = run.identity.options.get("best_checkpoint_metric", PERPLEXITY)
    records = _records(folder / NAME)
    rows = [(where, row) for where, row in records if row.get("event") == "validation"]
    training = [
        (_number(row, "epoch", where), _finite(row, "nll", where))
        for where, row in records
        if row.get("event") == "update"
    ]
    if rows:
        validations = [_validation(row, where) for where, row in rows]
        winners = [row["update"] for _, row in rows if row.get("best") is True]
        best_update = winners[-1] if winners else None
    else:
        where = CheckpointError("damaged training history", str(folder / LAST / STATE))
        validations = [_validation(row, where) for row in run.state.history]
        best_update = run.state.best_update
    points = [(epoch, nll) for epoch, nll in training if nll is not None]
    if not points:
        points = [(one.epoch, one.train_nll) for one in validations if one.train_nll is not None]
    best = next((v for v in validations if v.update == best_update and v.nll is not None), None)
    return TrainingHistory(validations, thinned(points), best, str(metric))


def thinned(
    points: Sequence[tuple[float, float]], most: int = _MOST_POINTS
) -> list[tuple[float, float]]:
    """Return at most `most` points: the means of neighbors, at the x of the last of them."""
    size = max(1, -(-len(points) // most))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _records(path: Path) -> list[tuple[CheckpointError, dict[str, Any]]]:
    """Return the records of the file, each with the error to raise if it is damaged."""
    if not path.is_file():
        return []
    records = []
    lines = list(read_lines(path))
    for number, line in enumerate(lines, start=1):
        error = CheckpointError("not a report of s2st train", str(path), number)
        try:
            record = load_json(line)
        except ValueError as cause:
            if number == len(lines):  # a training is writing this line
                break
            raise error from cause
        if not isinstance(record, dict):
            raise error
        records.append((error, record))
    return records


def _validation(row: Mapping[str, Any], where: CheckpointError) -> Validation:
    metrics = row.get("metrics", {})
    if type(row.get("update")) is not int or not isinstance(metrics, dict):
        raise where
    numbers = {name: _finite(metrics, name, where) for name in metrics}
    return Validation(
        row["update"],
        _number(row, "epoch", where),
        _finite(row, "train_nll", where) if "train_nll" in row else None,
        _finite(row, "nll", where) if "nll" in row else None,
        _finite(row, "learning_rate", where) if "learning_rate" in row else None,
        {name: value for name, value in numbers.items() if value is not None},
    )


def _number(row: Mapping[str, Any], name: str, where: CheckpointError) -> float:
    value = _finite(row, name, where)
    if value is None:
        raise where
    return value


def _finite(row: Mapping[str, Any], name: str, where: CheckpointError) -> float | None:
    """Return a number of a record, None if it is infinite; raise `where` if it is none."""
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise where
    try:
        number = float(value)
    except OverflowError:
        raise where from None
    return number if math.isfinite(number) else None
