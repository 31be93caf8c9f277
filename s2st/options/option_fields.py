"""Config dataclasses: option fields with default, help and range; value checks; TOML files.

A field made by `option(...)` is the only definition of an option. The command line, `s2st list`,
TOML files and checkpoint records read default, help and range from it. A value comes from the
dataclass default, a preset, a recipe, `--config FILE` or the command line; the last one wins.

Every number of s2st has a finite range (`tests/cli/test_cli_ranges.py`). An option of a plugin may
state no range; it then accepts every number that torch and numpy can hold.
"""

import dataclasses
import difflib
import json
import math
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from s2st.errors import ConfigError, DataError
from s2st.process.bounded_read import read_bounded, unreadable
from s2st.process.consistent_reads import ReplacedError, note_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

C = TypeVar("C")
MAX_BYTES = 1 << 16  # largest option file
MAX_DOTS = 2000  # in an option file: parsing a key a.b.c takes quadratic time and memory
MAX_INTEGER = (1 << 63) - 1  # largest integer of torch, numpy and itertools
MAX_WEIGHT = 1e9  # weight of a model in an ensemble or a mean
NONE = "none"  # no value, where a user writes one: `patience = "none"`
EMPTY = "leave the option out, or give it a value"


@dataclasses.dataclass(frozen=True)
class Range:
    """Range of numbers that an option accepts.

    Attributes:
        minimum, maximum: the bounds; None where the option states none.
        open_minimum, open_maximum: whether the bound itself is excluded.
    """

    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False

    @property
    def stated(self) -> bool:
        """Whether both bounds are given and finite."""
        bounds = (self.minimum, self.maximum)
        return all(bound is not None and math.isfinite(bound) for bound in bounds)

    def __str__(self) -> str:
        """Return the range as `--help` shows it, such as "0 to below 1"; "" without bounds."""
        low, high = self.minimum, self.maximum
        if low is None:
            return "" if high is None else f"at most {_readable(high)}"
        first = f"above {_readable(low)}" if self.open_minimum else _readable(low)
        if high is None or high >= MAX_INTEGER:
            return f"{first} or more"
        return f"{first} to {'below ' if self.open_maximum else ''}{_readable(high)}"

    def fault(self, value: float) -> str | None:
        """Return why a number is refused, such as "is 0; the minimum is 1"; None if it fits."""
        if isinstance(value, float) and math.isnan(value):
            return "is not a number"
        low, high = self.minimum, self.maximum
        if low is not None and (value <= low if self.open_minimum else value < low):
            bound = "it must be above" if self.open_minimum else "the minimum is"
            return f"is {shown(value)}; {bound} {_plain(low)}"
        if high is not None and (value >= high if self.open_maximum else value > high):
            bound = "it must be below" if self.open_maximum else "the maximum is"
            return f"is {shown(value)}; {bound} {_plain(high)}"
        if isinstance(value, float) and math.isinf(value):
            return "must be a finite number"
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            return "is too large a number"
        return None


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """One option, read from its dataclass field.

    Attributes:
        name: name of the field, with "_".
        kind: int, float, bool or str.
        default: value when the user gives none; dataclasses.MISSING for a required option.
        choices: accepted texts; empty if any text is accepted.
        optional: whether None is a value.
        repeated: whether the value is a tuple, from a flag that may be repeated.
        flags: further command-line spellings.
        words: texts that a numeric option accepts beside numbers, such as "auto".
        content: whether it names a file whose content decides what a run computes.
    """

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...]
    range: Range
    optional: bool
    repeated: bool
    flags: tuple[str, ...]
    words: tuple[str, ...] = ()
    content: bool = False

    @property
    def flag(self) -> str:
        """The long command-line flag."""
        return "--" + self.name.replace("_", "-")

    @property
    def can_be_none(self) -> bool:
        """Whether the user can write "none" for no value."""
        return self.optional and not self.repeated and self.kind is not str

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return self.kind in (int, float)


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    open_minimum: bool = False,
    open_maximum: bool = False,
    flags: Sequence[str] = (),
    words: Sequence[str] = (),
    content: bool = False,
) -> Any:
    """Return a dataclass field that defines an option.

    Args:
        default: value when the user gives none.
        help: one line of help.
        choices: accepted texts; empty if any text is accepted.
        minimum, maximum: range of a number. Every option of s2st states both.
        open_minimum, open_maximum: whether the bound itself is excluded.
        flags: further command-line spellings.
        words: texts that a numeric option accepts beside numbers, such as "auto".
        content: whether it names a file whose content decides what a run computes. A run is then
            resumed with a file of the same content, wherever it is.
    """
    metadata = {
        "help": help,
        "choices": tuple(choices),
        "range": Range(minimum, maximum, open_minimum, open_maximum),
        "flags": tuple(flags),
        "words": tuple(words),
        "content": content,
    }
    return dataclasses.field(default=default, metadata=metadata)


def option_specs(config_type: type) -> tuple[OptionSpec, ...]:
    """Return the options of a config dataclass, in the order of its fields."""
    hints = typing.get_type_hints(config_type)
    specs = []
    for field in dataclasses.fields(config_type):
        kind, optional, repeated = _unwrap(hints[field.name])
        meta = field.metadata
        specs.append(
            OptionSpec(
                name=field.name,
                kind=kind,
                default=field.default,
                help=meta.get("help", ""),
                choices=meta.get("choices", ()),
                range=meta.get("range", Range()),
                optional=optional,
                repeated=repeated,
                flags=meta.get("flags", ()),
                words=meta.get("words", ()),
                content=meta.get("content", False),
            )
        )
    return tuple(specs)


def make_config(config_type: type[C], values: Mapping[str, Any], where: str) -> C:
    """Build a config record from values; check names, types, choices and ranges.

    Args:
        config_type: the frozen dataclass.
        values: option name (with "_") to value; an option without a value keeps its default.
        where: source of the values, for messages.

    Raises:
        ConfigError: a bad value. The message names the option, the value and what is allowed.
    """
    specs = {spec.name: spec for spec in option_specs(config_type)}
    for name in values:
        if name not in specs:
            raise ConfigError(unknown_option_message(name, specs, where))
    checked = {name: check_value(specs[name], value, where) for name, value in values.items()}
    missing = [s.name for s in specs.values() if s.default is dataclasses.MISSING]
    for name in missing:
        if name not in checked:
            raise ConfigError(f"{where}: option {name!r} is required")
    return config_type(**checked)


def check_value(spec: OptionSpec, value: Any, where: str) -> Any:
    """Return the value in the option's type; raise ConfigError if it does not fit."""
    if spec.can_be_none and value == NONE:
        return None
    if value is None:
        if spec.optional:
            return None
        raise ConfigError(f"{where}: {spec.flag} needs a value")
    if spec.repeated:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigError(f"{where}: {spec.flag} takes a list, not {shown(value)}")
        return tuple(_check_one(spec, item, where) for item in value)
    return _check_one(spec, value, where)


def _check_one(spec: OptionSpec, value: Any, where: str) -> Any:
    kind: Any = spec.kind
    if isinstance(value, str) and value in spec.words:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError as error:
            raise ConfigError(f"{where}: {spec.flag} is too large a number") from error
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        allowed = " or ".join([_kind_name(kind), *spec.words])
        raise ConfigError(f"{where}: {spec.flag} takes {allowed}, not {shown(value)}")
    if spec.choices and value not in spec.choices:
        allowed = ", ".join(spec.choices)
        raise ConfigError(f"{where}: {spec.flag} is {shown(value)}; choose from {allowed}")
    if spec.numeric:
        fault = spec.range.fault(value)
        if fault is not None:
            raise ConfigError(f"{where}: {spec.flag} {fault}")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(
            f"{where}: {spec.flag} is {shown(value)}; it must not contain a NUL character"
        )
    if value == "" and spec.default != "":
        raise ConfigError(f"{where}: {spec.flag} is empty; {EMPTY}")
    return value


def shown(value: Any) -> str:
    """Return a value for a message: its repr on one line, cut to 80 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an int with too many digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file into a dict; raise InputMissingError or ConfigError in one line."""
    try:
        note_path(path)
        data = read_bounded(path, MAX_BYTES, "an option file")
    except OSError as error:
        raise unreadable(path, error) from error
    except ReplacedError:
        raise
    except DataError as error:
        raise ConfigError(str(error)) from error
    if data.count(b".") > MAX_DOTS:
        raise ConfigError(f"{path}: not an option file: it has more than {MAX_DOTS} dots")
    try:
        values: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        return values
    except (ValueError, RecursionError) as error:
        # Python raises ValueError for a number of more than 4300 digits, too
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: not a TOML file: {reason}") from error


def read_option_file(path: str | Path) -> dict[str, Any]:
    """Read a flat TOML file of options with "-" or "_" in names; return names with "_"."""
    values: dict[str, Any] = {}
    for key, value in read_toml(path).items():
        if isinstance(value, dict):
            raise ConfigError(f"{path}: {shown(key)} is a table; put options at the top level")
        name = key.replace("-", "_")
        if name in values:
            raise ConfigError(f"{path}: {shown(key)} is given twice, once with - and once with _")
        values[name] = value
    return values


def load_json(text: str | bytes) -> Any:
    """Parse JSON from an untrusted source; raise ValueError, also for too deep nesting."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def unknown_option_message(
    name: str, known: typing.Iterable[str], where: str, keywords: bool = False
) -> str:
    """Return the message for an unknown option, with the most similar known names.

    Args:
        name: the unknown name, with "_".
        known: the known names, with "_".
        where: name of the source, for the message.
        keywords: whether to show names as keywords of Python, with "_".
    """
    known = list(known)
    positive = name.removeprefix("no_")
    if keywords and positive != name and positive in known:
        return f"{where}: unknown option {shown(name)}; write {positive}=False"
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    sign = "_" if keywords else "-"
    hint = f"; did you mean {' or '.join(near).replace('_', sign)}?" if near else ""
    return f"{where}: unknown option {shown(name.replace('_', sign))}{hint}"


def config_values(config: Any) -> dict[str, Any]:
    """Return a config record as plain JSON values (tuples become lists)."""
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }


def _unwrap(hint: Any) -> tuple[type, bool, bool]:
    """Return (kind, optional, repeated) of an annotation: `int | None`, `tuple[str, ...]`."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        arguments = [a for a in typing.get_args(hint) if a is not type(None)]
        optional = True
        hint = arguments[0]
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], optional, True
    return hint, optional, False


def _plain(number: float) -> str:
    """Format a bound: whole numbers without an exponent, others in the shortest exact form."""
    if number == int(number) and abs(number) < 1e16:
        return str(int(number))
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _readable(number: float) -> str:
    """Format a bound for help texts: large whole numbers with commas."""
    whole = number == int(number) and abs(number) >= 10_000
    return f"{int(number):,}" if whole else _plain(number)


def _kind_name(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, kind.__name__)
