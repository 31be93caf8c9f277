"""Moses n-best lists, parsed and written line by line.

A line is `id ||| hypothesis ||| Name= v v Name= v ||| total [||| more]`.
"""

import math
from collections.abc import Callable, Iterable, Iterator
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
    for name, field, most in (
        ("hypothesis", fields[1], MAX_HYPOTHESIS),
        ("features", fields[2], MAX_FEATURES),
    ):
        if len(field) > most:
            message = f"its field {name} has {len(field):,} characters, the most is {most:,}"
            raise DataError(message, path, line)
    if len(fields) > MAX_FIELDS:
        raise DataError(f"more than {MAX_FIELDS} fields between '|||'", path, line)
    identifier = fields[0].strip(ASCII_SPACE)
    if not _is_id(identifier):
        raise DataError(f"id {identifier[:40]!r} is not a whole number of at least 0", path, line)
    total = fields[3].strip(ASCII_SPACE)
    number = _parse_number(total)
    if number is None:
        raise DataError(f"total {total[:40]!r} is not a number", path, line)
    return NBestEntry(
        id=int(identifier),
        hypothesis=" ".join(split_words(fields[1])),
        features=tuple(parse_features(fields[2], path, line)),
        total=number,
        extra=tuple(field.strip(ASCII_SPACE) for field in fields[4:]),
        line=line,
    )


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
        number = _parse_number(word)
        if number is None:
            raise DataError(f"feature {name[:40]}: {word[:40]!r} is not a number", path, line)
        values.append(number)
    if name is not None:
        yield name, tuple(values)


def _parse_number(text: str) -> float | None:
    """Parse a float as C prints it; return None for Python's "1_000" and non-ASCII digits."""
    try:
        return None if "_" in text or not text.isascii() else float(text)
    except ValueError:
        return None


def format_number(value: float) -> str:
    """Format a score as Moses prints it: six significant digits."""
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def format_entry(entry: NBestEntry) -> str:
    """Format an entry as a line without newline.

    A "|||" in the hypothesis would split the field; it is escaped as Moses escapes "|".
    """
    features = " ".join(
        " ".join([f"{name}=", *map(format_number, values)]) for name, values in entry.features
    )
    hypothesis = entry.hypothesis.replace("|||", "&#124;" * 3)
    fields = [str(entry.id), hypothesis, features, format_number(entry.total), *entry.extra]
    return SEPARATOR.join(fields)


def read_nbest(
    lines: Iterable[str], path: str, wanted: Callable[[int], bool] | None = None
) -> Iterator[list[NBestEntry]]:
    """Yield the lists of a file, one in memory at a time; ids may have gaps.

    Args:
        lines: the lines of the file.
        path: name of the file, for messages.
        wanted: whether to parse the list with an id; called for each line, in order.

    Raises:
        DataError: a malformed line; ids that are not in rising order; a list that takes more than
            MAX_MEMORY, about 100,000 hypotheses.
    """
    current: list[NBestEntry] = []
    room = MAX_MEMORY
    for number, text in enumerate(lines, start=1):
        if wanted is not None and not _is_wanted(text, wanted):
            continue
        entry = parse_entry(text, path, number)
        if current and entry.id != current[0].id:
            if entry.id < current[0].id:
                message = f"id {entry.id} after id {current[0].id}; sort the lists by id"
                raise DataError(message, path, number)
            yield current
            current, room = [], MAX_MEMORY
        current.append(entry)
        values = sum(len(numbers) for _, numbers in entry.features)
        room -= len(text) + ENTRY_MEMORY + VALUE_MEMORY * values
        if room < 0:
            raise DataError(f"list {entry.id} is too large for memory", path, number)
    if current:
        yield current


def _is_wanted(text: str, wanted: Callable[[int], bool]) -> bool:
    """Whether to parse the line; true also for a malformed id, which the parser reports."""
    identifier = text.split("|||", 1)[0].strip(ASCII_SPACE)
    return not _is_id(identifier) or wanted(int(identifier))


def _is_id(text: str) -> bool:
    """Whether the text is a whole number of at least 0 with fewer than 16 digits."""
    return text.isascii() and text.isdigit() and len(text) < 16
