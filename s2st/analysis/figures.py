"""Figures as SVG and PNG files: curves with bands and labeled points. Maps are in `heat_maps.py`.

The SVG is for web pages: text stays text, the background is transparent, text and axes follow the
reader's light or dark mode, and equal input gives equal bytes. The PNG is for everything else. The
module imports matplotlib (extra s2st[analysis]) when it draws, and restores its global state.
"""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2st.analysis.figure_files import INK, drawable, figure_paths, save_figure
from s2st.analysis.figure_fonts import fonts_for
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
    with canvas(path, (6.4, 4.3), texts, png) as figure:
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
    with canvas(path, (7.2, 5.4), texts) as figure:
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


def _check(groups: Sequence[Sequence[Sequence[Any] | None]]) -> None:
    if not any(columns[0] for columns in groups):
        raise UsageError("nothing to draw: no series has a point")
    for columns in groups:
        if len({len(column) for column in columns if column is not None}) != 1:
            raise ValueError("the sequences of a series must have equal lengths")


@contextmanager
def canvas(
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
