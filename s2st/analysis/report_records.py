"""Reports as records: what a page shows. `study_report` and `training_report` make them, `page`
turns them into HTML.
"""

from dataclasses import dataclass

MARKS = ("good", "bad", "unsure")


@dataclass(frozen=True)
class Interval:
    """A number with the interval that it lies in with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Marked:
    """A verdict in words; `mark` is one of MARKS."""

    text: str
    mark: str


Cell = None | str | float | Interval | Marked


@dataclass(frozen=True)
class Column:
    """Head of a table's column; numbers in it have `digits` decimals."""

    name: str
    number: bool = False
    digits: int = 2


@dataclass(frozen=True)
class Table:
    """Rows are as long as `columns`."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A picture: bytes of a checked .svg or .png; `media_type` says which."""

    caption: str
    alt: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Sample:
    """Texts of one sentence, one a column, and a note on it."""

    note: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """Sentences and their translations, one above the other."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Sample, ...]


@dataclass(frozen=True)
class Commands:
    """Command lines."""

    caption: str
    lines: tuple[str, ...]


Item = Table | Figure | Samples | Commands


@dataclass(frozen=True)
class Section:
    """Paragraphs, then items."""

    title: str
    text: tuple[str, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Report:
    """All that a page shows; `facts` are (name, text) pairs."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
