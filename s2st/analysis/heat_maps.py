"""Heat maps as SVG and PNG files, one or several in a figure, with a color scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.analysis.figure_files import drawable, save_figure
from s2st.analysis.figure_fonts import text_width
from s2st.analysis.figures import COLORS, canvas
from s2st.errors import UsageError

MAX_LABELS = 120  # largest number of labels per side of a map
MAX_PANELS = 144  # maps of one figure: those of 12 layers with 12 heads
SCALE_STEPS = 40  # shades of a color scale
_WIDEST_WORD = 24  # cut a map's label


@dataclass(frozen=True)
class Panel:
    """A map of a figure with several maps: its name and its values (R, C)."""

    name: str
    values: npt.NDArray[np.floating]


def draw_map(
    path: str | Path,
    values: npt.NDArray[np.floating],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    x_label: str,
    y_label: str,
    title: str = "",
    scale: str = "",
    png: bool = True,
) -> tuple[Path, Path]:
    """Draw a matrix as a heat map; see `draw_maps`."""
    return draw_maps(
        path, [Panel("", values)], rows=rows, columns=columns, x_label=x_label, y_label=y_label,
        title=title, scale=scale, png=png,
    )  # fmt: skip


def draw_maps(
    path: str | Path,
    panels: Sequence[Panel],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    x_label: str,
    y_label: str,
    title: str = "",
    scale: str = "",
    own_top: bool = False,
    across: int | None = None,
    png: bool = True,
) -> tuple[Path, Path]:
    """Draw matrices of one shape as heat maps, darker for larger values, the first row on top.

    Args:
        path: name of the figure; ".svg" and ".png" are added.
        panels: at least one, with values from 0 on.
        rows, columns: labels of the R rows and C columns, at most MAX_LABELS each.
        x_label, y_label, title: plain text.
        scale: what the values are; a color scale beside the maps shows it. "" for no scale.
        own_top: whether the darkest color is the largest value of each panel, instead of 1.
        across: number of panels per line; by default one line, or a square of more than 4 panels.
        png: whether to write a PNG as well.

    Returns:
        The files written: SVG, PNG.

    Raises:
        UsageError: there are no cells, too many labels or panels, or matplotlib is missing.
        OutputError: a file cannot be written.
    """
    _check_maps(panels, rows, columns)
    if across is None:
        across = len(panels) if len(panels) <= 4 else math.ceil(math.sqrt(len(panels)))
    lines = math.ceil(len(panels) / across)
    unit = 0.28 if across * len(columns) <= MAX_LABELS else 0.16
    longest = [max(text_width(_cut(label)) for label in labels) for labels in (rows, columns)]
    width, height = unit * len(columns), unit * len(rows)
    inches = (
        max(2.6, 1.0 + across * (width + 0.36) + 0.1 * longest[0] + (0.9 if scale else 0)),
        max(2.4, 0.85 + lines * (height + 0.35) + 0.1 * longest[1]),
    )
    texts = [x_label, y_label, title, scale, *(panel.name for panel in panels), *rows, *columns]
    with canvas(path, inches, texts, png) as figure:
        if len(panels) > 1 and title:
            figure.suptitle(drawable(title), fontsize=11)
        for number, panel in enumerate(panels):
            line, column = divmod(number, across)
            lowest = number + across >= len(panels)
            axes = figure.add_subplot(lines, across, number + 1)
            _fill(axes, panel.values, own_top)
            axes.set_title(drawable(panel.name or title), fontsize=11 if unit > 0.2 else 8)
            names = [_cut(word) for word in columns] if lowest else []
            axes.set_xticks(range(len(names)), names, rotation=90)
            names = [_cut(word) for word in rows] if not column else []
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(length=0, labelsize=9 if unit > 0.2 else 6)
            axes.set_xlabel(x_label if lowest else "")
            axes.set_ylabel("" if column else y_label)
            if scale and column == across - 1:
                _add_scale(axes, width, scale if not line else "")
        return save_figure(figure, path, title, png)


def _check_maps(panels: Sequence[Panel], rows: Sequence[str], columns: Sequence[str]) -> None:
    most = max(len(rows), len(columns))
    if not panels or not panels[0].values.size:
        raise UsageError("nothing to draw: the map has no cells")
    if most > MAX_LABELS:
        message = f"a map with {most} words on one side is unreadable; the limit is {MAX_LABELS}"
        raise UsageError(message)
    if len(panels) > MAX_PANELS:
        message = f"a figure of {len(panels)} maps is unreadable; the limit is {MAX_PANELS}"
        raise UsageError(message)


def _fill(axes: Any, values: npt.NDArray[np.floating], own_top: bool) -> None:
    """Draw the cells of a map."""
    top = float(values.max()) if own_top else 1.0
    # one color with the value as its opacity is readable on any background
    for row, line in enumerate((values / (top or 1.0)).tolist()):
        for column, share in enumerate(line):
            axes.add_patch(_cell(column, row, min(1.0, max(0.0, share))))
    lines, columns = values.shape
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_aspect("equal")


def _cell(column: int, row: int, share: float) -> Any:
    from matplotlib.patches import Rectangle

    edges = column - 0.5, row - 0.5
    return Rectangle(edges, 1, 1, facecolor=COLORS[0], edgecolor="none", alpha=round(share, 3))


def _add_scale(axes: Any, width: float, label: str) -> None:
    """Add a color scale from 0 to 1 to the right of axes of this width in inches."""
    from matplotlib.patches import Rectangle

    bar = axes.inset_axes((1 + 0.15 / width, 0, 0.14 / width, 1))
    for step in range(SCALE_STEPS):
        share = (step + 0.5) / SCALE_STEPS
        place = 0, step / SCALE_STEPS
        bar.add_patch(
            Rectangle(place, 1, 1 / SCALE_STEPS, facecolor=COLORS[0], alpha=share, edgecolor="none")
        )
    bar.set_xlim(0, 1)
    bar.set_ylim(0, 1)
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    bar.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    bar.tick_params(length=2, labelsize=8)
    bar.set_ylabel(label, fontsize=8)
    bar.spines[:].set_visible(False)


def _cut(word: str) -> str:
    return word if len(word) <= _WIDEST_WORD else word[: _WIDEST_WORD - 1] + "…"
