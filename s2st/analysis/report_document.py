"""Records of a report: sections, tables, figures, samples and commands.

`study_report` and `training_report` build them, and `html_page` renders them.
"""

from dataclasses import dataclass

MARKS = ("good", "bad", "unsure")


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Marked:
    """A verdict: a text with a mark, one of MARKS."""

    text: str
    mark: str


Cell = None | str | float | Interval | Marked


@dataclass(frozen=True)
class Column:
    """Header of a table column; numbers have `digits` decimals."""

    name: str
    number: bool = False
    digits: int = 2


@dataclass(frozen=True)
class Table:
    """A table; each row has one cell per column."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """An image: the bytes of a checked .svg or .png, as `media_type` says."""

    caption: str
    alt: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class MarkedWords:
    """A sentence; `marks` says for each word whether it stands out."""

    words: tuple[str, ...]
    marks: tuple[bool, ...]


@dataclass(frozen=True)
class Sample:
    """Texts of one sentence, one per column, with a note."""

    note: str
    texts: tuple[str | MarkedWords, ...]


@dataclass(frozen=True)
class Samples:
    """Sentences with their translations."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Sample, ...]


@dataclass(frozen=True)
class Commands:
    """A list of command lines."""

    caption: str
    lines: tuple[str, ...]


Item = Table | Figure | Samples | Commands


@dataclass(frozen=True)
class Section:
    """A titled section: paragraphs, then items."""

    title: str
    text: tuple[str, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Report:
    """The content of a page; `facts` are (name, text) pairs."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
