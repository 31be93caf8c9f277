"""Reader of a study's report: `report.json` and its figures, checked and turned into records.

The file is UTF-8 JSON with plain text (no markup) and exactly these keys:

    {"format": "s2st-report", "version": 1, "title": str, "lead": str,
     "facts": [[name, text], ...],            machine, versions, command, time
     "sections": [{"title": str, "text": [paragraph, ...], "items": [item, ...]}, ...]}

An item is one of

    {"kind": "table", "caption": str,
     "columns": [{"name": str, "type": "text" | "number", "digits": int (2)}, ...],
     "rows": [[cell, ...], ...]}
        cell: null (empty) | str | number | {"value": number, "low": number, "high": number}
        (an interval) | {"text": str, "mark": "good" | "bad" | "unsure"}
    {"kind": "figure", "path": "figures/lengths.svg", "caption": str, "alt": str}
        .svg or .png, relative to the folder and inside it; if the .svg is missing, the .png beside
        it is used
    {"kind": "samples", "caption": str, "columns": [str, ...],
     "rows": [{"note": str, "texts": [str, ...]}, ...]}
        one text per column: source, reference, translations
    {"kind": "commands", "caption": str, "lines": [str, ...]}

The file is not trusted: everything is checked, and messages name the place (`sections[0].title`).
"""

import json
import math
import os
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from xml.parsers import expat

from s2st.analysis.report_document import (
    MARKS,
    Cell,
    Column,
    Commands,
    Figure,
    Interval,
    Item,
    Marked,
    Report,
    Sample,
    Samples,
    Section,
    Table,
)
from s2st.errors import DataError, InputMissingError
from s2st.options.option_fields import load_json, shown
from s2st.process.folder_manifest import read_small

T = TypeVar("T")
REPORT = "report.json"
FORMAT = "s2st-report"
VERSION = 1
MAX_DIGITS = 12
MAX_FIGURE_BYTES = 1 << 23  # per figure
MAX_PAGE_BYTES = 1 << 26  # for all figures together
MAX_PIXELS = 20_000  # per side of a .png, because a small file may unpack to gigabytes
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def read_study(folder: Path) -> Report:
    """Read the report of a study's folder, with its figures.

    Raises:
        InputMissingError: report.json or one of its figures cannot be read.
        DataError: the content is wrong; the message names the place.
    """
    path = folder / REPORT
    try:
        data = read_small(path)
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        values = load_json(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}", str(path), error.lineno) from error
    except ValueError as error:  # not UTF-8; too many digits; too deep
        raise DataError("not JSON in UTF-8", str(path)) from error
    return _Reader(folder, path).report(values)


class _Reader:
    """Turns JSON values into records; `place` is a value's place in the file, for messages."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._bytes_left = MAX_PAGE_BYTES

    def _bad(self, place: str, message: str) -> DataError:
        return DataError(f"{place}: {message}" if place else message, str(self._path))

    def report(self, values: Any) -> Report:
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise self._bad("", f'not a report ("format" is not "{FORMAT}")')
        if values.get("version") != VERSION:
            version = shown(values.get("version"))
            raise self._bad("version", f"is {version}, but this s2st reads {VERSION}")
        names = ("format", "version", "title", "lead", "facts", "sections")
        self._object(values, "", names)
        return Report(
            self._line(values["title"], "title"),
            self._text(values["lead"], "lead"),
            self._list(values["facts"], "facts", self._fact),
            self._list(values["sections"], "sections", self._section),
        )

    def _fact(self, value: Any, place: str) -> tuple[str, str]:
        pair = self._list(value, place, self._text)
        if len(pair) != 2:
            raise self._bad(place, f"has {len(pair)} texts, not 2 (name and text)")
        return pair[0], pair[1]

    def _section(self, value: Any, place: str) -> Section:
        self._object(value, place, ("title", "text", "items"))
        return Section(
            self._line(value["title"], f"{place}.title"),
            self._list(value["text"], f"{place}.text", self._text),
            self._list(value["items"], f"{place}.items", self._item),
        )

    def _item(self, value: Any, place: str) -> Item:
        kinds: dict[str, Callable[[Mapping[str, Any], str], Item]] = {
            "table": self._table,
            "figure": self._figure,
            "samples": self._samples,
            "commands": self._commands,
        }
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise self._bad(f"{place}.kind", f"is {shown(kind)}, not one of {', '.join(kinds)}")
        return kinds[kind](value, place)

    def _table(self, value: Mapping[str, Any], place: str) -> Table:
        self._object(value, place, ("kind", "caption", "columns", "rows"))
        columns = self._columns(value["columns"], f"{place}.columns", self._column)

        def row(cells: Any, where: str) -> tuple[Cell, ...]:
            return self._sized(cells, where, self._cell, len(columns))

        caption = self._line(value["caption"], f"{place}.caption")
        return Table(caption, columns, self._list(value["rows"], f"{place}.rows", row))

    def _column(self, value: Any, place: str) -> Column:
        self._object(value, place, ("name", "type"), ("digits",))
        if value["type"] not in ("text", "number"):
            message = f"is {shown(value['type'])}, not one of text, number"
            raise self._bad(f"{place}.type", message)
        digits = value.get("digits", 2)
        if type(digits) is not int or not 0 <= digits <= MAX_DIGITS:
            message = f"is {shown(digits)}, not a whole number from 0 to {MAX_DIGITS}"
            raise self._bad(f"{place}.digits", message)
        return Column(self._text(value["name"], f"{place}.name"), value["type"] == "number", digits)

    def _cell(self, value: Any, place: str) -> Cell:
        if value is None:
            return None
        if isinstance(value, str):
            return self._text(value, place)
        if not isinstance(value, dict):
            return self._number(value, place)
        if "mark" in value:
            self._object(value, place, ("text", "mark"))
            if value["mark"] not in MARKS:
                message = f"is {shown(value['mark'])}, not one of {', '.join(MARKS)}"
                raise self._bad(f"{place}.mark", message)
            return Marked(self._line(value["text"], f"{place}.text"), value["mark"])
        names = ("value", "low", "high")
        self._object(value, place, names)
        middle, low, high = (self._number(value[name], f"{place}.{name}") for name in names)
        if low > high:
            raise self._bad(place, f"its low {low:g} is more than its high {high:g}")
        return Interval(middle, low, high)

    def _samples(self, value: Mapping[str, Any], place: str) -> Samples:
        self._object(value, place, ("kind", "caption", "columns", "rows"))
        columns = self._columns(value["columns"], f"{place}.columns", self._line)

        def sample(row: Any, where: str) -> Sample:
            self._object(row, where, ("note", "texts"))
            texts = self._sized(row["texts"], f"{where}.texts", self._text, len(columns))
            return Sample(self._text(row["note"], f"{where}.note"), texts)

        caption = self._line(value["caption"], f"{place}.caption")
        return Samples(caption, columns, self._list(value["rows"], f"{place}.rows", sample))

    def _commands(self, value: Mapping[str, Any], place: str) -> Commands:
        self._object(value, place, ("kind", "caption", "lines"))
        caption = self._line(value["caption"], f"{place}.caption")
        return Commands(caption, self._list(value["lines"], f"{place}.lines", self._text))

    def _figure(self, value: Mapping[str, Any], place: str) -> Figure:
        self._object(value, place, ("kind", "path", "caption", "alt"))
        name, where = self._line(value["path"], f"{place}.path"), f"{place}.path"
        caption = self._line(value["caption"], f"{place}.caption")
        alt = self._line(value["alt"], f"{place}.alt")
        pure = PurePosixPath(name)
        if pure.suffix not in (".svg", ".png"):
            raise self._bad(where, f"{shown(name)} is not a .svg or .png")
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or not name.isprintable():
            raise self._bad(where, f"{shown(name)} is not a path inside the folder")
        path = self._folder / pure
        if pure.suffix == ".svg" and not os.path.lexists(path):
            spare = path.with_suffix(".png")
            path = spare if os.path.lexists(spare) else path
        media_type, data = self._picture(path, where)
        return Figure(caption, alt, media_type, data)

    def _picture(self, path: Path, place: str) -> tuple[str, bytes]:
        """Return the media type and the bytes of a figure's file."""
        name = shown(path.relative_to(self._folder).as_posix())
        try:
            facts = os.stat(path)
            inside = os.path.realpath(path).startswith(os.path.realpath(self._folder) + os.sep)
            if not inside:
                raise self._bad(place, f"{name} is a symbolic link that leads out of the folder")
            if not stat.S_ISREG(facts.st_mode):
                raise self._bad(place, f"{name} is not a regular file")
            if facts.st_size > MAX_FIGURE_BYTES:
                raise self._bad(place, f"{name} is larger than {MAX_FIGURE_BYTES} bytes")
            self._bytes_left -= facts.st_size
            if self._bytes_left < 0:
                message = f"the figures up to {name} are larger than {MAX_PAGE_BYTES} bytes"
                raise self._bad(place, message)
            data = read_small(path)
        except OSError as error:
            message = f"{self._path}: {place}: {name} cannot be read: {error.strerror}"
            raise InputMissingError(message) from error
        reason = _damage_of_svg(data) if path.suffix == ".svg" else _damage_of_png(data)
        if reason:
            raise self._bad(place, f"{name}: {reason}")
        return ("image/svg+xml" if path.suffix == ".svg" else "image/png"), data

    def _object(
        self, value: Any, place: str, names: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> None:
        """Check that a value is an object with these keys."""
        if not isinstance(value, dict):
            raise self._bad(place, f"is {shown(value)}, not an object of {', '.join(names)}")
        for name in names:
            if name not in value:
                raise self._bad(place, f"has no {name!r}")
        for name in value:
            if name not in names and name not in optional:
                raise self._bad(place, f"has an unknown key {shown(name)}")

    def _list(self, value: Any, place: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise self._bad(place, f"is {shown(value)}, not a list")
        return tuple(read(one, f"{place}[{index}]") for index, one in enumerate(value))

    def _columns(self, value: Any, place: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        columns = self._list(value, place, read)
        if not columns:
            raise self._bad(place, "is empty")
        return columns

    def _sized(
        self, value: Any, place: str, read: Callable[[Any, str], T], size: int
    ) -> tuple[T, ...]:
        """Read a list with one value per column."""
        values = self._list(value, place, read)
        if len(values) != size:
            raise self._bad(place, f"has {len(values)} values for {size} columns")
        return values

    def _text(self, value: Any, place: str) -> str:
        if not isinstance(value, str):
            raise self._bad(place, f"is {shown(value)}, not text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self._bad(place, "contains a lone surrogate, which is no character") from error
        return value

    def _line(self, value: Any, place: str) -> str:
        """Read a text that must not be empty."""
        text = self._text(value, place)
        if not text.strip():
            raise self._bad(place, "is empty")
        return text

    def _number(self, value: Any, place: str) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
        raise self._bad(place, f"is {shown(value)}, not a finite number")


def _damage_of_svg(data: bytes) -> str:
    """Return what is wrong with an SVG file, "" if it is well-formed and defines no entities."""
    names: list[str] = []

    def forbid(*_: Any) -> None:
        raise ValueError("it defines entities")

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = forbid
    parser.StartElementHandler = lambda name, _: names.append(name) if not names else None
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        return f"not a readable SVG: {error}"
    return "" if names[0].rpartition(":")[2] == "svg" else "not an SVG"


def _damage_of_png(data: bytes) -> str:
    """Return what is wrong with the header of a PNG file, "" if nothing is."""
    if not data.startswith(_PNG) or len(data) < len(_PNG) + 8:
        return "not a PNG"
    sides = struct.unpack(">II", data[len(_PNG) : len(_PNG) + 8])
    if not all(1 <= side <= MAX_PIXELS for side in sides):
        return f"a PNG of {sides[0]} x {sides[1]} pixels; the limit is {MAX_PIXELS} per side"
    return ""
