"""SVG and PNG files of a figure: their names, and an SVG that fits into a web page."""

import io
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from s2st.process import durable_files

INK = "#1b1e23"  # text and axes on white; in the SVG it becomes `currentColor`
PALE_INK = "#e6e8eb"  # `currentColor` in dark mode
DPI = 200


def figure_paths(path: str | Path) -> tuple[Path, Path]:
    """Return the SVG and PNG files of a figure's name, which may end in .svg or .png already."""
    name = str(path)
    name = name[:-4] if name.lower().endswith((".svg", ".png")) else name
    return Path(name + ".svg"), Path(name + ".png")


def drawable(text: str) -> str:
    """Return text in which each byte of a file name that is not UTF-8 is a question mark."""
    return text.encode("utf-8", "replace").decode()


def save_figure(
    figure: Any, path: str | Path, title: str, with_png: bool = True
) -> tuple[Path, Path]:
    """Write the SVG and, if `with_png`, the PNG of a matplotlib figure; return both paths."""
    svg, png = figure_paths(path)
    # with these the bytes would depend on the date and on matplotlib's version
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata=no_metadata)
    durable_files.replace_file(
        svg, _for_pages(drawn.getvalue().decode(), drawable(title or svg.stem)).encode()
    )
    if with_png:
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
        durable_files.replace_file(png, drawn.getvalue())
    return svg, png


def _for_pages(svg: str, name: str) -> str:
    """Prepare an SVG for a web page: colors follow the reader's mode, and no external references.

    Style rules apply only to the figure's class, and unused ids are removed, because they could
    collide with those of other figures.
    """
    svg = svg[svg.index("<svg") :]  # without the DOCTYPE, which contains a URL
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg).replace(INK, "currentColor")
    style = (
        "<style>.s2st-figure{color:" + INK + "}"
        "@media (prefers-color-scheme: dark){.s2st-figure{color:" + PALE_INK + "}}"
        ".s2st-figure *{stroke-linejoin:round;stroke-linecap:butt}</style>"
    )
    svg = re.sub(r"<style.*?</style>", lambda _: style, svg, count=1, flags=re.DOTALL)
    opening = f'<svg class="s2st-figure" role="img" aria-label={quoteattr(name)}'
    start, rest = svg[4:].split(">", 1)
    return f"{opening}{start}>\n <title>{escape(name)}</title>{rest}"
