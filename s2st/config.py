"""Options as frozen dataclass fields, and the one way their values are found.

A field made by `option(...)` holds default, help and limits; the command line, `s2st list`, TOML
files and the checkpoint's record all read them from there. Values come, later ones winning, from
dataclass default < preset < recipe < `--config FILE` < command line.
"""

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from s2st import snapshots
from s2st.errors import ConfigError, DataError, InputMissingError
from s2st.reading import read_whole, why_not
from s2st.snapshots import ReplacedError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

C = TypeVar("C")
MOST_BYTES = 1 << 16  # of an option file
MOST_DOTS = 2000  # in one: time and memory of reading a key a.b.c grow with their square
MOST_INTEGER = (1 << 63) - 1  # what torch, numpy and itertools take


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """One option as its dataclass field defines it. `kind` is int, float, bool or str."""

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    optional: bool
    repeated: bool
    flags: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The long command-line flag."""
        return "--" + self.name.replace("_", "-")


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    flags: Sequence[str] = (),
) -> Any:
    """A dataclass field that is an option; `flags` are further command-line spellings."""
    metadata = {
        "help": help,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
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
                minimum=meta.get("minimum"),
                maximum=meta.get("maximum"),
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
    if isinstance(value, float) and math.isnan(value):
        raise ConfigError(f"{where}: {spec.flag} is not a number")
    if spec.choices and value not in spec.choices:
        allowed = ", ".join(spec.choices)
        raise ConfigError(f"{where}: {spec.flag} is {shown(value)}; choose from {allowed}")
    if spec.minimum is not None and value < spec.minimum:
        raise ConfigError(f"{where}: {spec.flag} is {shown(value)}; the least is {spec.minimum}")
    if spec.maximum is not None and value > spec.maximum:
        raise ConfigError(f"{where}: {spec.flag} is {shown(value)}; the most is {spec.maximum}")
    if isinstance(value, int) and abs(value) > MOST_INTEGER:
        raise ConfigError(f"{where}: {spec.flag} is too large a number")
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
        snapshots.note_path(path)
        data = read_whole(path, MOST_BYTES, regular=False)
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {why_not(path, error)}") from error
    except ReplacedError:
        raise
    except DataError as error:
        message = f"{path}: not a file of options: it is larger than {MOST_BYTES} bytes"
        raise ConfigError(message) from error
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


def _kind_name(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, kind.__name__)
