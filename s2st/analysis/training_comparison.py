"""Report of several trainings on one page: best values, curves, options that differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2st.analysis.report_document import Cell, Column, Item, Marked, Report, Section, Table
from s2st.analysis.training_figures import comparison_figures
from s2st.analysis.training_history import TrainingHistory, Validation, read_history
from s2st.analysis.training_report import (
    best_text,
    perplexity,
    plain_text,
    read_training,
    shown_value,
)
from s2st.errors import UsageError
from s2st.jobs.validation_metrics import METRICS
from s2st.models.base import parameters_by_part
from s2st.models.model_building import hollow_model
from s2st.options.option_fields import option_specs
from s2st.training.checkpoint import ResumedRun
from s2st.training.validation import PERPLEXITY, BestMetric


def report_trainings(folders: Sequence[Path]) -> Report:
    """Build the report of several save folders.

    Args:
        folders: at least two save folders of `s2st train`.

    Raises:
        UsageError: a folder is given twice.
        InputMissingError, CheckpointError: see `report_training`.
    """
    names = run_names(folders)
    runs = [read_training(folder) for folder in folders]
    histories = [read_history(folder, run) for folder, run in zip(folders, runs, strict=True)]
    winner = _winner(runs, histories)
    lead = "The trainings have different data or metrics, so their best values are not compared."
    if winner is not None:
        lead = f"{names[winner]}: {best_text(histories[winner])}"
    named = list(zip(names, histories, strict=True))
    text: list[str] = []
    items: list[Item] = [_runs_table(names, runs, histories, winner)]
    try:
        items += comparison_figures(named)
    except UsageError as error:
        text.append(f"The curves are left out: {error}.")
    options = _options_table(names, runs)
    sections = [Section("Trainings", tuple(text), tuple(items))]
    if options is not None:
        sections.append(Section("Options", (), (options,)))
    return Report(f"{len(runs)} trainings: {', '.join(names)}", lead, (), tuple(sections))


def run_names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that differ, such as "model" or "a/model".

    Raises:
        UsageError: a folder is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    for index, path in enumerate(parts):
        if path in parts[:index]:
            raise UsageError(f"{folders[index]}: this training is given twice")
    size = 1
    while len({path[-size:] for path in parts}) < len(parts):
        size += 1
    return [plain_text("/".join(path[-size:])) for path in parts]


def _winner(runs: Sequence[ResumedRun], histories: Sequence[TrainingHistory]) -> int | None:
    """Return the index of the best run, None if their best values cannot be compared."""
    metrics = {history.metric for history in histories}
    if len({run.identity.data for run in runs}) > 1 or len(metrics) > 1:
        return None
    best_metric = _comparable(metrics.pop(), runs)
    if best_metric is None:
        return None
    costs = []
    for index, history in enumerate(histories):
        best = history.best
        if best is not None and best.nll is not None:
            costs.append((best_metric.cost(best.nll, best.metrics), index))
    return min(costs)[1] if costs else None


def _comparable(metric: str, runs: Sequence[ResumedRun]) -> BestMetric | None:
    """Return the metric with its direction, None if it is unknown or its options differ."""
    if metric == PERPLEXITY:
        return BestMetric()
    try:
        entry = METRICS.get(metric)
    except UsageError:  # of a plugin that is not loaded
        return None
    names = ["validate_beam", *(spec.name for spec in option_specs(entry.config_type))]
    if len({str([run.identity.options.get(name) for name in names]) for run in runs}) > 1:
        return None
    larger = entry.build(entry.config_type()).larger_is_better
    return BestMetric(metric, bool(larger))


def _runs_table(
    names: Sequence[str], runs: Sequence[ResumedRun], histories: Sequence[TrainingHistory],
    winner: int | None,
) -> Table:  # fmt: skip
    metrics = list(dict.fromkeys(m for history in histories for m in history.metric_names()))
    columns = (
        Column("training"),
        Column("best perplexity", True),
        *(Column(f"best {name}", True) for name in metrics),
        Column("note"),
        Column("at update", True, 0),
        Column("at epoch", True),
        Column("updates", True, 0),
        Column("parameters", True, 0),
        Column("architecture"),
    )
    rows: list[tuple[Cell, ...]] = []
    for index, (name, run, history) in enumerate(zip(names, runs, histories, strict=True)):
        best = history.best or Validation(0, 0.0, None, None, None)
        record = run.saved.record
        parts = parameters_by_part(hollow_model(record.architecture, record.config, record.sizes))
        rows.append(
            (
                name,
                perplexity(best.nll),
                *(best.metrics.get(metric) for metric in metrics),
                Marked("best", "good") if index == winner else None,
                best.update if history.best else None,
                best.epoch if history.best else None,
                run.state.update,
                sum(weights + biases for weights, biases in parts.values()),
                record.architecture,
            )
        )
    return Table("Values at each training's best checkpoint", columns, tuple(rows))


def _options_table(names: Sequence[str], runs: Sequence[ResumedRun]) -> Table | None:
    """Return the options whose values differ between the runs, None if there are none."""
    values: list[Mapping[str, Any]] = [{**r.identity.options, **r.identity.other} for r in runs]
    known = dict.fromkeys(name for one in values for name in one if name != "save_dir")
    rows = []
    for name in known:
        shown = [shown_value(one[name]) if name in one else "" for one in values]
        if len(set(shown)) > 1:
            rows.append((plain_text(name).replace("_", "-"), *shown))
    if len({run.identity.data for run in runs}) > 1:
        rows.insert(0, ("data (sha256)", *(run.identity.data[:12] for run in runs)))
    if not rows:
        return None
    columns = (Column("option"), *(Column(name) for name in names))
    return Table("Options that differ", columns, tuple(rows))
