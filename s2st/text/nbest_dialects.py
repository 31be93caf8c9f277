"""The dialects of n-best lists, and the recognition of a file's dialect by its first hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from s2st.text.line_files import split_words
from s2st.text.nbest_entries import (
    ASCII_SPACE,
    Entries,
    Numbered,
    Wanted,
    is_id,
    parse_number,
)
from s2st.text.nbest_fields import (
    read_bare,
    read_cdec,
    read_marian,
    read_moses,
    read_old_moses,
    read_unnamed,
)
from s2st.text.nbest_records import is_fairseq, read_fairseq, read_s2st, read_sockeye

AUTO = "auto"
MAX_LOOKAHEAD = 1 << 24  # characters of lines that fit several dialects
HEAD = 4096  # characters of the features' field that are looked at


@dataclass(frozen=True)
class Dialect:
    """A format of n-best lists.

    Attributes:
        name: value of --nbest-format.
        description: who writes it, and what a line looks like.
        matches: whether a line can only be of this dialect, or of one further down in DIALECTS.
        read: yields the entries of numbered lines; the last argument is the line that was
            recognized.
        unsorted: whether the program that writes it does not sort by ids.
    """

    name: str
    description: str
    matches: Callable[[str], bool]
    read: Callable[[Numbered, str, Wanted, str], Entries]
    unsorted: bool = False


def _fields(text: str) -> list[str]:
    """Return the first fields of a line; none if it does not begin with an id and '|||'."""
    fields = text.split("|||", 5)
    return fields if len(fields) > 1 and is_id(fields[0].strip(ASCII_SPACE)) else []


def _first_words(text: str) -> list[str]:
    """Return the first words of the third field."""
    fields = _fields(text)
    return split_words(fields[2][:HEAD]) if len(fields) > 2 else []


def _is_number(text: str) -> bool:
    return parse_number(text.strip(ASCII_SPACE)) is not None


def _is_s2st(text: str) -> bool:
    return text.startswith("{") and '"hypotheses"' in text


def _is_sockeye(text: str) -> bool:
    return text.startswith("{") and '"translation' in text


def _is_marian(text: str) -> bool:
    fields = text.rsplit("|||", 2)
    named = len(fields) == 3 and fields[1].strip(ASCII_SPACE).startswith("F0=")
    first = _fields(text)
    return named and len(first) > 4 and _is_number(fields[2]) and not _is_number(first[3])


def _is_old_moses(text: str) -> bool:
    words = _first_words(text)
    return bool(words) and words[0].endswith(":")


def _is_cdec(text: str) -> bool:
    words = _first_words(text)
    name, equals, value = words[0].rpartition("=") if words else ("", "", "")
    return bool(equals and name) and _is_number(value)


def _is_unnamed(text: str) -> bool:
    words, fields = _first_words(text), _fields(text)
    return (
        bool(words)
        and all(map(_is_number, words[:-1]))
        and (
            (len(words) > 1 and _is_number(words[0])) or (len(fields) > 3 and _is_number(words[0]))
        )
    )  # the last word may be cut


def _is_bare(text: str) -> bool:
    fields = _fields(text)
    return len(fields) == 2 or (len(fields) == 3 and _is_number(fields[2][:HEAD]))


def _is_moses(text: str) -> bool:
    words = _first_words(text)
    return bool(words) and words[0].endswith("=")


DIALECTS = (
    Dialect(
        "s2st", '`s2st generate --format json`: {"line": 0, "hypotheses": [...]}', _is_s2st,
        read_s2st,
    ),
    Dialect(
        "sockeye", 'Sockeye, JSON: {"sentence_id": 1, "translations": [...], "scores": [...]}',
        _is_sockeye, read_sockeye,
    ),
    Dialect(
        "fairseq", "fairseq-generate: lines S-0, T-0, H-0, D-0, P-0", is_fairseq, read_fairseq,
        unsorted=True,
    ),
    Dialect(
        "marian", "Marian with --alignment, --word-scores: id ||| words ||| 0-0 ||| F0= -1 ||| -1",
        _is_marian, read_marian,
    ),
    Dialect(
        "moses-old", "Moses before 2013, Phrasal: id ||| words ||| d: 0 lm: -41.3 -40.4 ||| -9",
        _is_old_moses, read_old_moses,
    ),
    Dialect(
        "cdec", "cdec, Joshua: id ||| words ||| lm_0=-28.045 tm_pt_0=-172.0 ||| -9", _is_cdec,
        read_cdec,
    ),
    Dialect(
        "unnamed", "old versions of Joshua: id ||| words ||| -7.158 -0.090 ||| -9", _is_unnamed,
        read_unnamed,
    ),
    Dialect("bare", "lists without features: id ||| words [||| -9]", _is_bare, read_bare),
    Dialect(
        "moses", "Moses, Marian: id ||| words ||| LM0= -41.3 TM0= -1 -2 ||| -9", _is_moses,
        read_moses,
    ),
)  # fmt: skip
MOSES = DIALECTS[-1]
NAMES = tuple(dialect.name for dialect in DIALECTS)


@dataclass(frozen=True)
class Recognized:
    """The dialect of a file.

    Attributes:
        dialect: the dialect.
        line: number of the line that told it; 0 if the user or the default chose it.
        text: this line, or the first one.
        forced: whether the user chose it.
    """

    dialect: Dialect
    line: int
    text: str
    forced: bool = False

    def entries(self, lines: Numbered, path: str, wanted: Wanted) -> Entries:
        """Yield the entries of the lines."""
        return self.dialect.read(lines, path, wanted, self.text)

    def explanation(self, text: str, line: int) -> str:
        """Return an addition to the error of a line: its dialect, and the file's."""
        fitting = None if line == self.line else dialect_of(text)
        other = None if fitting is self.dialect else fitting
        if other is None and self.dialect is MOSES and not self.forced:
            return ""
        how = f"recognized by line {self.line}" if self.line else "the default"
        if self.forced:
            how = "--nbest-format"
        read_as = f"; the file is read as {self.dialect.name} ({how})"
        if other is None:
            return read_as
        return f"{read_as}, but this line looks like {other.name}: a file has one format"


def recognize(lines: Numbered, form: str = AUTO) -> tuple[Recognized, Numbered]:
    """Return the dialect of numbered lines, and all these lines.

    Lines that fit several dialects, such as those of Moses without features, are skipped within
    the first list.

    Args:
        lines: the lines of a file.
        form: name of a dialect, or "auto".
    """
    held: list[tuple[int, str]] = []
    room = MAX_LOOKAHEAD
    found: Dialect | None = None
    if form != AUTO:
        found = DIALECTS[NAMES.index(form)]
        held.extend(item for _, item in zip(range(1), lines, strict=False))
        text = held[0][1] if held else ""
        return Recognized(found, 0, text, forced=True), chain(held, lines)
    first_list = ""
    for number, text in lines:
        held.append((number, text))
        found = dialect_of(text)
        if found is not None:
            return Recognized(found, number, text), chain(held, lines)
        identifier = text.partition("|||")[0].strip(ASCII_SPACE)
        first_list = first_list or identifier
        room -= len(text) + 100
        if not _fits_several(text) or identifier not in ("", first_list) or room < 0:
            break
    return Recognized(MOSES, 0, "||||||||| 0"), chain(held, lines)


def dialect_of(text: str) -> Dialect | None:
    """Return the dialect that a line can only be of; None if it fits several or none."""
    return next((dialect for dialect in DIALECTS if dialect.matches(text)), None)


def _fits_several(text: str) -> bool:
    """Whether a line is blank, or has an empty field of features and a total."""
    fields = _fields(text)
    blank = not text.strip(ASCII_SPACE)
    return blank or (len(fields) > 3 and not fields[2].strip(ASCII_SPACE))
