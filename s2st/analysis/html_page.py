"""Rendering of a report as one self-contained HTML page, without network access.

All text is escaped. A Content-Security-Policy allows only this module's style sheet and script, by
their hashes, and embedded images. Images are <img> elements, in which no script runs. Equal reports
give equal bytes.
"""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from importlib.resources import files

from s2st.analysis.report_document import (
    Cell,
    Column,
    Commands,
    Figure,
    Interval,
    Item,
    Marked,
    MarkedWords,
    Report,
    Samples,
    Section,
    Table,
)

SIGNS = {"good": "✓", "bad": "✗", "unsure": "?"}
FACTS_TITLE = "How this was made"
_PLAIN_BELOW = 1e15  # larger numbers are shown with an exponent
_SHORT = 30  # a first column of at most so many characters stays in view while others scroll
# Characters that HTML does not allow. Lone surrogates stand for bytes of a file name outside UTF-8.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def render_page(report: Report) -> bytes:
    """Return the HTML file of a report, encoded as UTF-8."""
    style = _resource("report.css") + _interval_widths(report)
    script = _resource("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    sections = [_section(section, f"s{i}") for i, section in enumerate(report.sections, start=1)]
    titles = [(f"s{i}", section.title) for i, section in enumerate(report.sections, start=1)]
    if report.facts:
        sections.append(_facts(report.facts))
        titles.append(("facts", FACTS_TITLE))
    lead = f'<p class="lead">{_text(report.lead)}</p>\n' if report.lead.strip() else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{_text(report.title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{_text(report.title)}</h1>
{lead}</header>
{_navigation(titles)}<main>
{"".join(sections)}</main>
<script>{script}</script>
</body>
</html>
""".encode()


def _resource(name: str) -> str:
    return files("s2st.analysis").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _text(text: str) -> str:
    """Escape a text for HTML and attributes; replace control characters by U+FFFD."""
    return html.escape(_UNSEEN.sub("\ufffd", text))


def _navigation(titles: Sequence[tuple[str, str]]) -> str:
    if len(titles) < 2:
        return ""
    links = "".join(f'<li><a href="#{key}">{_text(title)}</a></li>\n' for key, title in titles)
    return f'<nav aria-label="Sections">\n<ol>\n{links}</ol>\n</nav>\n'


def _section(section: Section, key: str) -> str:
    paragraphs = "".join(f"<p>{_text(paragraph)}</p>\n" for paragraph in section.text)
    items = "".join(_item(item, f"{key}-{i}") for i, item in enumerate(section.items, start=1))
    return (
        f'<section id="{key}" aria-labelledby="{key}-title">\n'
        f'<h2 id="{key}-title">{_text(section.title)}</h2>\n{paragraphs}{items}</section>\n'
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{_text(n)}</dt><dd>{_text(text)}</dd>\n" for n, text in facts)
    return (
        '<section id="facts" aria-labelledby="facts-title">\n'
        f'<h2 id="facts-title">{FACTS_TITLE}</h2>\n<dl class="facts">\n{rows}</dl>\n</section>\n'
    )


def _item(item: Item, key: str) -> str:
    if isinstance(item, Table):
        return _table(item, key)
    if isinstance(item, Figure):
        return _figure(item)
    if isinstance(item, Samples):
        return _samples(item)
    return _commands(item, key)


def _table(table: Table, key: str) -> str:
    widths = [_interval_width(table, index) for index in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col"{_classes(column.number and "number")}>'
        f'<button type="button">{_text(column.name)}<span class="arrow"></span></button></th>\n'
        for column in table.columns
    )
    rows = []
    for cells in table.rows:
        row = [
            _cell(cell, column, width, "th" if index == 0 else "td")
            for index, (cell, column, width) in enumerate(
                zip(cells, table.columns, widths, strict=True)
            )
        ]
        rows.append(f"<tr>{''.join(row)}</tr>\n")
    first = [len(_shown(row[0], table.columns[0])) for row in table.rows]
    kept = max(first, default=0) <= _SHORT and len(table.columns) > 2
    return (
        f'<div class="scroll" role="group" aria-labelledby="{key}" tabindex="0">\n'
        f"<table{_classes(kept and 'kept')}>\n"
        f'<caption id="{key}">{_text(table.caption)}</caption>\n'
        f"<thead>\n<tr>\n{heads}</tr>\n</thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table>\n</div>\n"
    )


def _classes(*names: object) -> str:
    given = [str(name) for name in names if name]
    return f' class="{" ".join(given)}"' if given else ""


def _cell(cell: Cell, column: Column, width: int, tag: str) -> str:
    scope = ' scope="row"' if tag == "th" else ""
    value = cell.value if isinstance(cell, Interval) else cell
    data = f' data-value="{value!r}"' if isinstance(value, float | int) else ""
    long = isinstance(cell, str) and len(cell) > _SHORT
    classes = _classes(column.number and "number", cell in (None, "") and "empty", long and "long")
    if isinstance(cell, Marked):
        sign = f'<span role="img" aria-label="{cell.mark}">{SIGNS[cell.mark]}</span>'
        inside = f'<span class="mark {cell.mark}">{sign} {_text(cell.text)}</span>'
    elif isinstance(cell, Interval):
        value_text, bounds = _number(cell.value, column.digits), _bounds(cell, column)
        inside = _two(value_text, bounds, width)
    elif cell in (None, "") or (width and not isinstance(cell, str)):  # align with intervals
        inside = _two(_shown(cell, column), "", width)
    else:
        inside = _shown(cell, column)
    return f"<{tag}{scope}{data}{classes}>{inside}</{tag}>"


def _two(value: str, interval: str, width: int) -> str:
    second = f' <span class="interval w{width}">{interval}</span>' if width else ""
    return f'<span class="value">{value}</span>{second}'


def _shown(cell: Cell, column: Column) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return _text(cell)
    if isinstance(cell, Marked):
        return _text(cell.text)
    if isinstance(cell, Interval):
        return f"{_number(cell.value, column.digits)} {_bounds(cell, column)}"
    return _number(cell, column.digits)


def _bounds(cell: Interval, column: Column) -> str:
    return f"[{_number(cell.low, column.digits)}, {_number(cell.high, column.digits)}]"


def _number(value: float, digits: int) -> str:
    if abs(value) >= _PLAIN_BELOW:
        return f"{value:.3e}".replace("-", "\u2212")
    text = f"{value:,.{digits}f}"
    if not text.strip("-0.,"):  # no minus sign before a zero
        text = text.lstrip("-")
    return text.replace("-", "\u2212")


def _interval_width(table: Table, index: int) -> int:
    """Return the number of characters of a column's longest interval, 0 if it has none."""
    cells = [row[index] for row in table.rows]
    column = table.columns[index]
    return max((len(_bounds(c, column)) for c in cells if isinstance(c, Interval)), default=0)


def _interval_widths(report: Report) -> str:
    """Return style rules that align the intervals of each column."""
    tables = [i for section in report.sections for i in section.items if isinstance(i, Table)]
    widths = {_interval_width(t, index) for t in tables for index in range(len(t.columns))} - {0}
    rules = "".join(f".w{width} {{ min-width: {width - 2}ch; }}\n" for width in sorted(widths))
    return f"@media (min-width: 40rem), print {{\n{rules}}}\n" if rules else ""


def _figure(figure: Figure) -> str:
    # an image that does not follow the page's mode needs a light background in dark mode
    follows = figure.media_type == "image/svg+xml" and b"prefers-color-scheme" in figure.data
    data = base64.b64encode(figure.data).decode()
    return (
        f"<figure{_classes(not follows and 'plate')}>\n"
        f'<img alt="{_text(figure.alt)}" src="data:{figure.media_type};base64,{data}">\n'
        f"<figcaption>{_text(figure.caption)}</figcaption>\n</figure>\n"
    )


def _samples(samples: Samples) -> str:
    rows = []
    for sample in samples.rows:
        note = f'<p class="note">{_text(sample.note)}</p>\n' if sample.note.strip() else ""
        texts = "".join(
            f'<dt>{_text(name)}</dt><dd dir="auto" translate="no">{_sentence(text)}</dd>\n'
            for name, text in zip(samples.columns, sample.texts, strict=True)
        )
        rows.append(f"<li>\n{note}<dl>\n{texts}</dl>\n</li>\n")
    return (
        f'<figure class="samples">\n<figcaption>{_text(samples.caption)}</figcaption>\n'
        f"<ol>\n{''.join(rows)}</ol>\n</figure>\n"
    )


def _sentence(text: str | MarkedWords) -> str:
    if isinstance(text, str):
        return _text(text)
    pairs = zip(text.words, text.marks, strict=True)
    return " ".join(f"<mark>{_text(w)}</mark>" if marked else _text(w) for w, marked in pairs)


def _commands(commands: Commands, key: str) -> str:
    lines = "\n".join(_text(line) for line in commands.lines)
    return (
        f'<figure class="commands">\n'
        f'<figcaption id="{key}">{_text(commands.caption)}</figcaption>\n'
        f'<pre role="group" aria-labelledby="{key}" tabindex="0"><code>{lines}</code></pre>\n'
        "</figure>\n"
    )
