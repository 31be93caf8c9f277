"""Parsers of n-best lists whose lines have fields between '|||', in other dialects than Moses'.

The dialects differ in the field of the features, and in whether there are features and a total.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from s2st.errors import DataError
from s2st.text.line_files import split_words
from s2st.text.nbest_entries import (
    ASCII_SPACE,
    ENTRY_MEMORY,
    MAX_FIELDS,
    MAX_MEMORY,
    VALUE_MEMORY,
    Entries,
    NBestEntry,
    Numbered,
    Wanted,
    check_fields,
    is_wanted,
    parse_entry,
    parse_features,
    parse_id,
    parse_number,
    parse_total,
)

Features = tuple[tuple[str, tuple[float, ...]], ...]
FeatureParser = Callable[[str, str, int], Features]
UNNAMED = "Features"  # name of the values that a list gives without names
_SEMICOLON = re.compile(r"(=[^;=\s]+);")  # between features in old lists of cdec


@dataclass(frozen=True)
class LineForm:
    """The fields of a line after id and hypothesis.

    Attributes:
        features: parses the field of the features; None if there is no such field.
        total: whether the features, or the hypothesis, are followed by a total. Without it, the
            total of each hypothesis is 0.
        others_first: whether other fields, such as alignments, come before the features, instead
            of after the total.
    """

    features: FeatureParser | None
    total: bool = True
    others_first: bool = False

    def parse(self, text: str, path: str, line: int) -> NBestEntry:
        """Return the entry of one line; raise DataError that names the field at fault."""
        fields = text.split("|||", MAX_FIELDS)
        names = ["id", "hypothesis"]
        names += ["features"] * (self.features is not None) + ["total"] * self.total
        closed = self.features is None or not self.total
        if len(fields) < len(names) or (closed and len(fields) > len(names)):
            least = "" if closed else "at least "
            message = f"{len(fields)} fields separated by '|||', not {least}{len(names)}"
            raise DataError(f"{message} ({', '.join(names)})", path, line)
        features = self._features_field(fields)
        check_fields(fields, features, path, line)
        others = fields[2:-2] if self.others_first else fields[4:]
        total = (
            fields[-1]
            if self.others_first or self.features is None
            else fields[min(3, len(fields) - 1)]
        )
        return NBestEntry(
            id=parse_id(fields[0], path, line),
            hypothesis=" ".join(split_words(fields[1])),
            features=() if self.features is None else self.features(features, path, line),
            total=parse_total(total, path, line) if self.total else 0.0,
            extra=tuple(field.strip(ASCII_SPACE) for field in others),
            line=line,
        )

    def _features_field(self, fields: Sequence[str]) -> str:
        if self.features is None:
            return ""
        return fields[-2] if self.others_first else fields[2]


def has_total(text: str) -> bool:
    """Whether a line with a field of features has a total, too."""
    features = text.split("|||", 3)[2:]
    return len(features) != 1 or not features[0].strip(ASCII_SPACE)


# features


def moses_features(text: str, path: str, line: int) -> Features:
    """Parse `Name= v v Name= v`; raise DataError."""
    return tuple(parse_features(text, path, line))


def colon_features(text: str, path: str, line: int) -> Features:
    """Parse `d: v v lm: v`, as Moses wrote it before 2013; raise DataError.

    The values of a name that occurs several times are joined.
    """
    found: dict[str, list[float]] = {}
    values: list[float] | None = None
    name = ""
    for word in split_words(text):
        if word.endswith(":"):
            name = word[:-1]
            if not name:
                raise DataError("a feature has no name before ':'", path, line)
            values = found.setdefault(name, [])
            continue
        if values is None:
            raise DataError(f"feature value {word[:40]!r} before any 'name:'", path, line)
        values.append(_value(name, word, path, line))
    return tuple((name, tuple(numbers)) for name, numbers in found.items())


def equals_features(text: str, path: str, line: int) -> Features:
    """Parse `name=v name=v` or `name=v;name=v`, as Joshua and cdec write it; raise DataError."""
    found = []
    for word in split_words(_SEMICOLON.sub(r"\1 ", text) if ";" in text else text):
        name, equals, value = word.rpartition("=")
        if not equals or not name:
            raise DataError(f"feature {word[:40]!r} has not the form name=value", path, line)
        found.append((name, (_value(name, value, path, line),)))
    return tuple(found)


def marian_features(text: str, path: str, line: int) -> Features:
    """Parse `F0= v F1= v`, or `F0=v`, which Marian writes without a breakdown of scores."""
    return moses_features(text.replace("=", "= "), path, line)


def unnamed_features(text: str, path: str, line: int) -> Features:
    """Parse `v v v`, as old versions of Joshua write it; raise DataError."""
    values = tuple(_value(UNNAMED, word, path, line) for word in split_words(text))
    return ((UNNAMED, values),) if values else ()


def _value(name: str, word: str, path: str, line: int) -> float:
    number = parse_number(word)
    if number is None:
        raise DataError(f"feature {name[:40]}: {word[:40]!r} is not a number", path, line)
    return number


# files


def read_moses(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of lists of Moses."""
    parse = parse_entry if has_total(first) else LineForm(moses_features, total=False).parse
    return _entries(parse, lines, path, wanted)


def read_old_moses(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of lists that Moses wrote before 2013, or Phrasal."""
    form = LineForm(colon_features, has_total(first))
    return _entries(form.parse, lines, path, wanted)


def read_unnamed(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of lists whose features have no names."""
    form = LineForm(unnamed_features, has_total(first))
    return _entries(form.parse, lines, path, wanted)


def read_marian(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of lists of Marian with alignments or word scores."""
    return _entries(LineForm(marian_features, others_first=True).parse, lines, path, wanted)


def read_bare(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of lists without features."""
    form = LineForm(None, total=first.count("|||") != 1)
    return _entries(form.parse, lines, path, wanted)


def _entries(
    parse: Callable[[str, str, int], NBestEntry], lines: Numbered, path: str, wanted: Wanted
) -> Entries:
    for number, text in lines:
        if wanted is None or is_wanted(text, wanted):
            yield parse(text, path, number), len(text)


def read_cdec(lines: Numbered, path: str, wanted: Wanted, first: str) -> Entries:
    """Yield the entries of lists of Joshua or cdec, which leave out features of value 0.

    The first list tells dense from sparse features. A feature of all its hypotheses is dense:
    every later hypothesis gets it, and "_" in its name becomes "-", because Moses takes a name
    with "_" for a sparse feature. The name of any other feature has "_" or gets `sparse_` before
    it.
    """
    parse = LineForm(equals_features, has_total(first)).parse
    head: list[tuple[NBestEntry, int]] = []
    rest: tuple[int, str] | None = None
    room = MAX_MEMORY
    for number, text in lines:
        if head and not is_wanted(text, lambda id: id == head[0][0].id):
            rest = number, text
            break
        entry = parse(text, path, number)
        if head and entry.id != head[0][0].id:
            rest = number, text
            break
        head.append((entry, len(text)))
        room -= len(text) + ENTRY_MEMORY + VALUE_MEMORY * len(entry.features)
        if room < 0:
            raise DataError(f"list {entry.id} is too large for memory", path, number)
    if not head:
        return
    names = _NamesOfFirstList([entry for entry, _ in head])
    if wanted is None or wanted(head[0][0].id):
        for entry, size in head:
            yield names.apply(entry), size
    head.clear()

    def remaining() -> Iterator[tuple[int, str]]:
        if rest is not None:
            yield rest
        yield from lines

    for entry, size in _entries(parse, remaining(), path, wanted):
        yield names.apply(entry), size


class _NamesOfFirstList:
    """The names of Moses for the features of Joshua and cdec; see `read_cdec`."""

    def __init__(self, entries: Sequence[NBestEntry]) -> None:
        common = set.intersection(*({name for name, _ in entry.features} for entry in entries))
        order = dict.fromkeys(name for name, _ in entries[0].features)
        self._dense: Mapping[str, str] = {
            name: name.replace("_", "-") for name in order if name in common
        }

    def apply(self, entry: NBestEntry) -> NBestEntry:
        """Return the entry with its dense features, in the order of the file, then the others."""
        given = dict(entry.features)
        dense = [(new, given.get(old, (0.0,))) for old, new in self._dense.items()]
        sparse = [
            (name if "_" in name else f"sparse_{name}", values)
            for name, values in given.items()
            if name not in self._dense
        ]
        return replace(entry, features=(*dense, *sparse))
