"""Options as frozen dataclass fields, and the one way their values are found.

A field made by `option(...)` holds default, help and limits; the command line, `s2st list`, TOML
files and the checkpoint's record all read them from there. Values come, later ones winning, from
dataclass default < preset < recipe < `--config FILE` < command line.

Every number has a finite range. `tests/cli/test_cli_ranges.py` checks that every option of s2st
states its own; a plugin's option that states none takes every number that torch and numpy hold.
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

from s2st.errors import ConfigError, InputMissingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

C = TypeVar("C")
MOST_BYTES = 1 << 16  # of an option file
MOST_DOTS = 2000  # in one: time and memory of reading a key a.b.c grow with their square
MOST_INTEGER = (1 << 63) - 1  # what torch, numpy and itertools take
MOST_WEIGHT = 1e9  # of a model in an ensemble or a mean
EMPTY = "leave the option out, or give it a value"


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that an option takes.

    Attributes:
        minimum, maximum: the least and the most; None where the option states none.
        open_minimum, open_maximum: whether that number itself is refused.
    """

    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False

    @property
    def stated(self) -> bool:
        """Whether both ends are given, and finite."""
        ends = (self.minimum, self.maximum)
        return all(end is not None and math.isfinite(end) for end in ends)

    def __str__(self) -> str:
        """The range as `--help` shows it, such as "0 to below 1"; empty where none is stated."""
        low, high = self.minimum, self.maximum
        if low is None:
            return "" if high is None else f"at most {_readable(high)}"
        first = f"above {_readable(low)}" if self.open_minimum else _readable(low)
        if high is None or high >= MOST_INTEGER:
            return f"{first} or more"
        return f"{first} to {'below ' if self.open_maximum else ''}{_readable(high)}"

    def fault(self, value: float) -> str | None:
        """Why a number is refused, such as "is 0; the least is 1"; None where it fits."""
        if isinstance(value, float) and math.isnan(value):
            return "is not a number"
        low, high = self.minimum, self.maximum
        if low is not None and (value <= low if self.open_minimum else value < low):
            what = "it must be above" if self.open_minimum else "the least is"
            return f"is {shown(value)}; {what} {_plain(low)}"
        if high is not None and (value >= high if self.open_maximum else value > high):
            what = "it must be below" if self.open_maximum else "the most is"
            return f"is {shown(value)}; {what} {_plain(high)}"
        if isinstance(value, float) and math.isinf(value):
            return "must be a finite number"
        if isinstance(value, int) and abs(value) > MOST_INTEGER:
            return "is too large a number"
        return None


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """One option as its dataclass field defines it. `kind` is int, float, bool or str."""

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...]
    range: Range
    optional: bool
    repeated: bool
    flags: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The long command-line flag."""
        return "--" + self.name.replace("_", "-")

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
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
) -> Any:
    """A dataclass field that is an option.

    Args:
        default, help: its value where nobody gives one, and one line of help.
        choices: the texts that it takes; none where any text does.
        minimum, maximum: the range of a number. Every option of s2st states both.
        open_minimum, open_maximum: whether the range leaves out that end itself.
        flags: further command-line spellings.
    """
    metadata = {
        "help": help,
        "choices": tuple(choices),
        "range": Range(minimum, maximum, open_minimum, open_maximum),
        "flags": tuple(flags),
    }
    return dataclasses.field(default=default, metadata=metadata)


def option_specs(config_type: type) -> tuple[OptionSpec, ...]:
    """The options of a config dataclass, in the order of its fields."""
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
            )
        )
    return tuple(specs)


def make_config(config_type: type[C], values: Mapping[str, Any], where: str) -> C:
    """Builds a config record from values, checking names, types, choices and limits.

    Args:
        config_type: the frozen dataclass.
        values: option name (with "_") to value; missing ones keep their default.
        where: what the values came from, for messages.

    Raises:
        ConfigError: naming the option, the value and what is allowed.
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
    """The value in the option's type; raises ConfigError if it does not fit."""
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
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError as error:
            raise ConfigError(f"{where}: {spec.flag} is too large a number") from error
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where}: {spec.flag} takes {_kind_name(kind)}, not {shown(value)}")
    if spec.choices and value not in spec.choices:
        allowed = ", ".join(spec.choices)
        raise ConfigError(f"{where}: {spec.flag} is {shown(value)}; choose from {allowed}")
    if spec.numeric:
        fault = spec.range.fault(value)
        if fault is not None:
            raise ConfigError(f"{where}: {spec.flag} {fault}")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(
            f"{where}: {spec.flag} is {shown(value)}; it must not hold a NUL character"
        )
    if value == "" and spec.default != "":
        raise ConfigError(f"{where}: {spec.flag} is empty; {EMPTY}")
    return value


def shown(value: Any) -> str:
    """A value as messages show it: on one line, and no longer than that can take."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep; a whole number of too many digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file into a dict; raises InputMissingError or ConfigError in one line."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path}: not a file of options: it is larger than {MOST_BYTES} bytes")
    if data.count(b".") > MOST_DOTS:
        raise ConfigError(f"{path}: not a file of options: it holds more than {MOST_DOTS} dots")
    try:
        values: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        return values
    except (ValueError, RecursionError) as error:
        # ValueError is also what Python says of a number of more than 4300 digits
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: not a TOML file: {reason}") from error


def read_option_file(path: str | Path) -> dict[str, Any]:
    """A flat TOML file of options, names with "-" or "_"; keys come back with "_"."""
    values: dict[str, Any] = {}
    for key, value in read_toml(path).items():
        if isinstance(value, dict):
            raise ConfigError(f"{path}: {shown(key)} is a table; options stand at the top level")
        name = key.replace("-", "_")
        if name in values:
            raise ConfigError(f"{path}: {shown(key)} is given twice, once with - and once with _")
        values[name] = value
    return values


def load_json(text: str | bytes) -> Any:
    """The values of JSON text from anywhere; raises ValueError, also where it nests too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def unknown_option_message(name: str, known: typing.Iterable[str], where: str) -> str:
    """One line for an option that does not exist, with the nearest ones that do."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near).replace('_', '-')}?" if near else ""
    return f"{where}: unknown option {shown(name.replace('_', '-'))}{hint}"


def config_values(config: Any) -> dict[str, Any]:
    """A config record as plain JSON values (tuples become lists)."""
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }


def _unwrap(hint: Any) -> tuple[type, bool, bool]:
    """(kind, optional, repeated) of an annotation such as `int | None` or `tuple[str, ...]`."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        arguments = [a for a in typing.get_args(hint) if a is not type(None)]
        optional = True
        hint = arguments[0]
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], optional, True
    return hint, optional, False


def _plain(number: float) -> str:
    """An end of a range: whole numbers without an exponent, others as short as they are exact."""
    if number == int(number) and abs(number) < 1e16:
        return str(int(number))
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _readable(number: float) -> str:
    """An end of a range for a reader: large whole numbers with commas."""
    whole = number == int(number) and abs(number) >= 10_000
    return f"{int(number):,}" if whole else _plain(number)


def _kind_name(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, kind.__name__)
