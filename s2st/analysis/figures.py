"""Figures as SVG and PNG files: curves with bands, labeled points, and heat maps.

The SVG is for web pages: text stays text, the background is transparent, text and axes follow the
reader's light or dark mode, and equal input gives equal bytes. The PNG is for everything else. The
module imports matplotlib (extra s2st[analysis]) when it draws, and restores its global state.
"""

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.analysis.figure_files import INK, drawable, figure_paths, save_figure
from s2st.analysis.figure_fonts import fonts_for, text_width
from s2st.analysis.label_placement import place_labels
from s2st.errors import UsageError

# Okabe and Ito's colors, which color-blind readers can distinguish, without their yellow and black:
# those are invisible on a light or a dark background
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# different numbers of colors, dashes and markers, so that combinations repeat late
DASHES: tuple[Any, ...] = (
    "solid", (0, (5, 2)), (0, (1.2, 1.5)), (0, (6, 2, 1.2, 2)), (0, (9, 3)),
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_WIDEST_LABEL = 30  # wrap a point's label beyond this number of characters
_WIDEST_NAME = 60  # wrap a series' name in the legend
_WIDEST_WORD = 24  # cut a map's label
MAX_LABELS = 120  # largest number of labels per side of a map
MAX_PANELS = 144  # maps of one figure: those of 12 layers with 12 heads
SCALE_STEPS = 40  # shades of a color scale


@dataclass(frozen=True)
class Series:
    """A curve; x, y, low and high have one value per point. NaN leaves a gap.

    Attributes:
        name: text in the legend. If no series has a name, there is no legend.
        x, y: coordinates of the points.
        low, high: edges of the band; give both or neither.
        markers: whether to mark the points; a single point always has a marker.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    markers: bool = False


@dataclass(frozen=True)
class Points:
    """A group of points; each has a label, which may be empty."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    labels: Sequence[str]


@dataclass(frozen=True)
class Panel:
    """A map of a figure with several maps: its name and its values (R, C)."""

    name: str
    values: npt.NDArray[np.floating]


def require_matplotlib() -> None:
    """Raise UsageError if matplotlib is missing; call this before long work."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        message = "figures need matplotlib: run pip install 's2st[analysis]'"
        raise UsageError(message) from error


def draw_curves(
    path: str | Path,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    png: bool = True,
) -> tuple[Path, Path]:
    """Draw curves, with their bands, and one legend.

    Args:
        path: name of the figure; ".svg" and ".png" are added.
        series: at least one curve. Curves differ in color and in dashes or markers.
        x_label, y_label, title: plain text.
        log_x, log_y: whether an axis is logarithmic; its values must then be above 0.
        png: whether to write a PNG as well.

    Returns:
        The files written: SVG, PNG.

    Raises:
        UsageError: there is nothing to draw, or matplotlib is missing.
        ValueError: the sequences of a series differ in length.
        OutputError: a file cannot be written.
    """
    _check([(one.x, one.y, one.low, one.high) for one in series])
    texts = [x_label, y_label, title, *(one.name for one in series)]
    with _canvas(path, (6.4, 4.3), texts, png) as figure:
        axes = _axes(figure, x_label, y_label, title)
        handles = []
        for number, one in enumerate(series):
            color = COLORS[number % len(COLORS)]
            dashes = DASHES[number % len(DASHES)]
            marker = MARKERS[number % len(MARKERS)] if one.markers or len(one.x) == 1 else ""
            if one.low is not None and one.high is not None:
                axes.fill_between(one.x, one.low, one.high, color=color, alpha=0.13, linewidth=0)
                for edge in (one.low, one.high):
                    axes.plot(one.x, edge, color=color, alpha=0.4, linewidth=0.6)
            (line,) = axes.plot(
                one.x, one.y, color=color, linestyle=dashes, linewidth=2, zorder=3,
                marker=marker, markersize=5,
            )  # fmt: skip
            handles.append(line)
        if log_x:
            _log_axis(axes, "x", [x for one in series for x in one.x])
        if log_y:
            _log_axis(axes, "y", [y for one in series for y in one.y])
        _legend(figure, handles, [one.name for one in series], length=3.2)
        return save_figure(figure, path, title, png)


def draw_scatter(
    path: str | Path, groups: Sequence[Points], *, x_label: str, y_label: str, title: str = ""
) -> tuple[Path, Path]:
    """Draw labeled points, with the labels placed where they cover as little as possible.

    A label far from its point has a thin line to it.

    Args:
        path: name of the figure; ".svg" and ".png" are added.
        groups: at least one group of points.
        x_label, y_label, title: plain text.

    Returns:
        The files written: SVG, PNG.

    Raises:
        UsageError, ValueError, OutputError: see `draw_curves`.
    """
    _check([(one.x, one.y, one.labels) for one in groups])
    texts = [x_label, y_label, title, *(one.name for one in groups)]
    texts += [label for one in groups for label in one.labels]
    with _canvas(path, (7.2, 5.4), texts) as figure:
        axes = _axes(figure, x_label, y_label, title)
        axes.margins(0.14)
        handles, labels = [], []
        for number, one in enumerate(groups):
            color = COLORS[number % len(COLORS)]
            marker = MARKERS[number % len(MARKERS)]
            (line,) = axes.plot(
                one.x, one.y, color=color, linestyle="none", marker=marker, markersize=6, zorder=3
            )
            handles.append(line)
            for x, y, label in zip(one.x, one.y, one.labels, strict=True):
                if not label:
                    continue
                text = axes.annotate(
                    _wrapped(label), (x, y), xytext=(0, 0),
                    textcoords="offset points", fontsize=8, ha="center", va="center",
                )  # fmt: skip
                text.set_in_layout(False)  # else a label at the edge would shrink the axes
                labels.append(text)
        _legend(figure, handles, [one.name for one in groups], length=1.2)
        _spread_labels(figure, axes, labels)
        return save_figure(figure, path, title)


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
    with _canvas(path, inches, texts, png) as figure:
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


def _check(groups: Sequence[Sequence[Sequence[Any] | None]]) -> None:
    if not any(columns[0] for columns in groups):
        raise UsageError("nothing to draw: no series has a point")
    for columns in groups:
        if len({len(column) for column in columns if column is not None}) != 1:
            raise ValueError("the sequences of a series must have equal lengths")


@contextmanager
def _canvas(
    path: str | Path, inches: tuple[float, float], texts: Sequence[str], png: bool = True
) -> Iterator[Any]:
    """Yield a new figure in the style of s2st; matplotlib's settings are restored afterwards.

    Args:
        path: name of the figure.
        inches: width and height.
        texts: all texts of the figure, to find fonts for them.
        png: whether a PNG will be written as well.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: Any = {
        **dict.fromkeys(ink, INK),
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans", "Verdana"],  # Verdana has the same width as DejaVu
        "font.size": 10,
        "text.parse_math": False,  # a name may contain $
        "text.usetex": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        # ids must differ between the figures of one page
        "svg.hashsalt": figure_paths(path)[0].name,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # ignore any matplotlibrc of this machine
        matplotlib.rcParams.update(settings)
        # matplotlib warns for every character drawn; `fonts_for` warns once
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        with fonts_for(texts, warn=png) as families:
            matplotlib.rcParams["font.family"] = ["sans-serif", *families]
            yield Figure(figsize=inches, layout="constrained")


def _axes(figure: Any, x_label: str, y_label: str, title: str) -> Any:
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if title:
        axes.set_title(drawable(title), fontsize=11)
    axes.grid(color=INK, alpha=0.13, linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def _legend(figure: Any, handles: Sequence[Any], names: Sequence[str], length: float) -> None:
    """Add one legend below the axes, in as many columns as fit."""
    if not any(names):
        return
    for columns in range(len(names), 0, -1):
        legend = figure.legend(
            handles, [str(i) for i in range(len(names))], loc="outside lower center",
            ncols=columns, frameon=False, handlelength=length,
        )  # fmt: skip
        for text, name in zip(legend.get_texts(), names, strict=True):
            # matplotlib leaves out names that start with "_" if they are passed to `legend`
            text.set_text(textwrap.fill(drawable(name), _WIDEST_NAME))
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def _log_axis(axes: Any, name: str, values: Sequence[float]) -> None:
    """Make the axis "x" or "y" logarithmic, with round numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if min(values) <= 0:
        raise ValueError("a logarithmic axis needs values above 0")
    axes.set(**{f"{name}scale": "log"})
    axis = getattr(axes, f"{name}axis")
    ratio = max(values) / min(values)
    if name == "y" and ratio < 8:  # too few powers and their multiples lie between
        axis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    else:
        axis.set_major_locator(LogLocator(subs=(1,) if ratio > 300 else (1, 2, 3, 5)))
    # matplotlib's default labels need its math text, which is switched off
    axis.set_major_formatter(FuncFormatter(_tick_text))
    axis.set_minor_formatter(NullFormatter())


def _tick_text(value: float, _: Any = None) -> str:
    return f"{value:,.0f}" if value >= 10 and float(value).is_integer() else f"{value:g}"


def _wrapped(label: str) -> str:
    """Wrap a label into as few lines as it needs, of similar length, so that it covers little."""
    lines = textwrap.wrap(label, _WIDEST_LABEL)
    for width in range(1, _WIDEST_LABEL):
        narrower = textwrap.wrap(label, width)
        if len(narrower) <= len(lines):
            return "\n".join(narrower)
    return "\n".join(lines)


def _spread_labels(figure: Any, axes: Any, texts: Sequence[Any]) -> None:
    """Move labels away from their points to places where they cover little."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    figure.draw_without_rendering()  # computes the position of the axes
    scale = 72 / figure.dpi  # typographic points per pixel
    points, sizes = [], []
    for text in texts:
        box = text.get_window_extent(renderer)
        points.append(tuple(axes.transData.transform(text.xy) * scale))
        sizes.append((box.width * scale, box.height * scale))
    left, bottom, right, top = axes.get_window_extent(renderer).extents * scale
    places = place_labels(points, sizes, (left, bottom, right, top))
    for text, (x, y), place in zip(texts, points, places, strict=True):
        text.set_position((place.x - x, place.y - y))
        if place.line_to is not None:
            end = (place.line_to[0] - x, place.line_to[1] - y)
            axes.annotate(
                "", text.xy, xytext=end, textcoords="offset points",
                arrowprops={
                    "arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.6,
                    "shrinkA": 0, "shrinkB": 0,
                },
            ).set_in_layout(False)  # fmt: skip
