"""Entries of n-best lists, and the lines of Moses, which s2st writes.

A line is `id ||| hypothesis ||| Name= v v Name= v ||| total [||| more]`.
`nbest_lists.py` reads whole files, also in the formats of other programs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from s2st.errors import DataError
from s2st.text.line_files import split_words

SEPARATOR = " ||| "
ASCII_SPACE = " \t\n\r\f\v"
MAX_MEMORY = 1 << 27  # of one list: its characters, plus ENTRY_MEMORY per hypothesis
ENTRY_MEMORY = 1000
VALUE_MEMORY = 40  # of a feature's value, beside its characters
# characters of a line's fields, whose words take some 50 bytes each; real lists have thousands
MAX_HYPOTHESIS = 1 << 22
MAX_FEATURES = 1 << 20
MAX_FIELDS = 100

Numbered = Iterator[tuple[int, str]]  # lines with their numbers from 1
Wanted = Callable[[int], bool] | None  # whether to parse the list with an id; None for all


@dataclass(frozen=True)
class NBestEntry:
    """One line of an n-best list.

    Attributes:
        id: sentence number from 0.
        hypothesis: the words, separated by single spaces, without spaces at the ends.
        features: (name without "=", values) in the order of the line.
        total: weighted sum of the features, computed by the system that wrote the list; larger is
            better; may be nan or infinite.
        extra: further fields, unchanged (alignments, for example).
        line: line number in the file, from 1.
    """

    id: int
    hypothesis: str
    features: tuple[tuple[str, tuple[float, ...]], ...]
    total: float
    extra: tuple[str, ...]
    line: int


def parse_entry(text: str, path: str, line: int) -> NBestEntry:
    """Reads one line; raises DataError that names the field at fault."""
    fields = text.split("|||", MAX_FIELDS)
    if len(fields) < 4:
        raise DataError(
            f"{len(fields)} fields separated by '|||'; a Moses n-best line has at least 4 "
            "(id, hypothesis, features, total)",
            path,
            line,
        )
    if len(text) > MAX_FEATURES or len(fields) > MAX_FIELDS:  # else nothing is too large
        check_fields(fields, fields[2], path, line)
    return NBestEntry(
        id=parse_id(fields[0], path, line),
        hypothesis=" ".join(split_words(fields[1])),
        features=tuple(parse_features(fields[2], path, line)),
        total=parse_total(fields[3], path, line),
        extra=tuple(field.strip(ASCII_SPACE) for field in fields[4:]),
        line=line,
    )


def check_fields(fields: Sequence[str], features: str, path: str, line: int) -> None:
    """Raise DataError if there are too many fields, or one is too long for memory.

    Args:
        fields: at most MAX_FIELDS + 1 fields; the second is the hypothesis.
        features: the field of the features, "" if there is none.
        path, line: place of the line.
    """
    for name, field, most in (
        ("hypothesis", fields[1], MAX_HYPOTHESIS),
        ("features", features, MAX_FEATURES),
    ):
        if len(field) > most:
            message = f"its field {name} has {len(field):,} characters, the most is {most:,}"
            raise DataError(message, path, line)
    if len(fields) > MAX_FIELDS:
        raise DataError(f"more than {MAX_FIELDS} fields between '|||'", path, line)


def parse_id(field: str, path: str, line: int) -> int:
    """Return the sentence number in a field; raise DataError."""
    identifier = field.strip(ASCII_SPACE)
    if not is_id(identifier):
        raise DataError(f"id {identifier[:40]!r} is not a whole number of at least 0", path, line)
    return int(identifier)


def parse_total(field: str, path: str, line: int) -> float:
    """Return the total in a field; raise DataError."""
    total = field.strip(ASCII_SPACE)
    number = parse_number(total)
    if number is None:
        raise DataError(f"total {total[:40]!r} is not a number", path, line)
    return number


def parse_features(text: str, path: str, line: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield (name, values) of each feature in `Name= v v Name= v`; raise DataError."""
    name: str | None = None
    values: list[float] = []
    for word in split_words(text):
        if word.endswith("="):
            if name is not None:
                yield name, tuple(values)
            name, values = word[:-1], []
            if not name:
                raise DataError("a feature has no name before '='", path, line)
            continue
        if name is None:
            raise DataError(f"feature value {word[:40]!r} before any 'Name='", path, line)
        number = parse_number(word)
        if number is None:
            raise DataError(f"feature {name[:40]}: {word[:40]!r} is not a number", path, line)
        values.append(number)
    if name is not None:
        yield name, tuple(values)


def parse_number(text: str) -> float | None:
    """Parse a float as C prints it; return None for Python's "1_000" and non-ASCII digits."""
    try:
        return None if "_" in text or not text.isascii() else float(text)
    except ValueError:
        return None


def format_number(value: float) -> str:
    """Format a score as Moses prints it: six significant digits."""
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def format_exactly(value: float) -> str:
    """Format a score with as many digits as it needs to be read back unchanged."""
    short = format_number(value)
    return short if float(short) == value or math.isnan(value) else repr(value)


def escape_bars(hypothesis: str) -> str:
    """Return the hypothesis without "|||", which would split the field of a line.

    Each "|" becomes "&#124;", as Moses escapes it.
    """
    return hypothesis.replace("|||", "&#124;" * 3)


def format_entry(entry: NBestEntry, number: Callable[[float], str] = format_number) -> str:
    """Format an entry as a line of Moses, without newline.

    Args:
        entry: the entry.
        number: formats each value and the total.
    """
    features = " ".join(
        " ".join([f"{name}=", *map(number, values)]) for name, values in entry.features
    )
    fields = [
        str(entry.id), escape_bars(entry.hypothesis), features, number(entry.total), *entry.extra
    ]  # fmt: skip
    return SEPARATOR.join(fields)


Entries = Iterator[tuple[NBestEntry, int]]  # with the number of characters that each takes


def is_wanted(text: str, wanted: Callable[[int], bool]) -> bool:
    """Whether to parse a line; true also for a malformed id, which the parser reports."""
    identifier = text.split("|||", 1)[0].strip(ASCII_SPACE)
    return not is_id(identifier) or wanted(int(identifier))


def is_id(text: str) -> bool:
    """Whether the text is a whole number of at least 0 with fewer than 16 digits."""
    return text.isascii() and text.isdigit() and len(text) < 16
