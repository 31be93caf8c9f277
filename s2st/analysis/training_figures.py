"""Figures of trainings: perplexity on a logarithmic axis, and metrics of translations, by epoch."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from s2st.analysis.figures import Series, draw_curves, require_matplotlib
from s2st.analysis.report_document import Figure
from s2st.analysis.training_history import TrainingHistory
from s2st.training.observer import perplexity_text

_HIGHEST_NLL = 20.0  # nats per token: larger losses would hide the rest of the curve


def perplexity_figure(history: TrainingHistory) -> Figure | None:
    """Draw training and validation perplexity of one run, and mark the best validation.

    Returns:
        The figure, None if there is nothing to draw.

    Raises:
        UsageError: matplotlib is missing.
    """
    curves = [
        _curve("training", history.training),
        _validation_curve("validation", history),
    ]
    best = history.best
    if best is not None and best.nll is not None and best.nll <= _HIGHEST_NLL:
        name = f"best checkpoint: {perplexity_text(best.nll)}"
        curves.append(_curve(name, [(best.epoch, best.nll)]))
    caption = "Perplexity by epoch. Training perplexity is measured with dropout."
    return _figure(caption, "perplexity", [one for one in curves if one.x], log_y=True)


def metric_figures(histories: Sequence[tuple[str, TrainingHistory]]) -> list[Figure]:
    """Draw each metric of translations by epoch, with one curve per run.

    Args:
        histories: name and history of each run.

    Raises:
        UsageError: matplotlib is missing.
    """
    names = dict.fromkeys(name for _, history in histories for name in history.metric_names())
    figures = []
    for metric in names:
        curves = []
        for run, history in histories:
            rows = [v for v in history.validations if metric in v.metrics]
            xs, ys = [v.epoch for v in rows], [v.metrics[metric] for v in rows]
            curves.append(Series(run, xs, ys, markers=True))
        shown = [one for one in curves if one.x]
        figure = _figure(f"{metric} of the validation split by epoch.", metric, shown)
        figures += [] if figure is None else [figure]
    return figures


def comparison_figures(histories: Sequence[tuple[str, TrainingHistory]]) -> list[Figure]:
    """Draw validation and training perplexity of several runs, one figure each.

    Args:
        histories: name and history of each run.

    Raises:
        UsageError: matplotlib is missing.
    """
    validation = [_validation_curve(name, history) for name, history in histories]
    training = [_curve(name, history.training) for name, history in histories]
    figures = [
        _figure("Validation perplexity by epoch.", "perplexity", _drawn(validation), log_y=True),
        _figure("Training perplexity by epoch, measured with dropout.", "perplexity",
                _drawn(training), log_y=True),
    ]  # fmt: skip
    return [figure for figure in figures if figure is not None] + metric_figures(histories)


def _drawn(curves: Sequence[Series]) -> list[Series]:
    return [one for one in curves if one.x]


def _curve(name: str, points: Sequence[tuple[float, float]], markers: bool = False) -> Series:
    """Return a curve of perplexities from (epoch, nats per token)."""
    kept = [(epoch, nll) for epoch, nll in points if nll <= _HIGHEST_NLL]
    return Series(name, [x for x, _ in kept], [math.exp(nll) for _, nll in kept], markers=markers)


def _validation_curve(name: str, history: TrainingHistory) -> Series:
    rows = [(v.epoch, v.nll) for v in history.validations if v.nll is not None]
    return _curve(name, rows, markers=True)


def _figure(
    caption: str, y_label: str, curves: Sequence[Series], log_y: bool = False
) -> Figure | None:
    if not curves:
        return None
    require_matplotlib()
    with tempfile.TemporaryDirectory() as folder:
        svg, _ = draw_curves(
            Path(folder) / "curve", curves, x_label="epoch", y_label=y_label, log_y=log_y, png=False
        )
        data = svg.read_bytes()
    ends = "; ".join(f"{one.name} from {one.y[0]:,.2f} to {one.y[-1]:,.2f}" for one in curves)
    return Figure(caption, f"Curves of {y_label} by epoch: {ends}", "image/svg+xml", data)
