"""Keywords of Python calls as options: the same names, types and checks as on the command line."""

import numbers
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from s2st.errors import ConfigError
from s2st.options.option_fields import OptionSpec, option_specs
from s2st.options.resolution import CommandSpec, OptionSource, Resolved, resolve, select

Scalar: TypeAlias = str | int | float | bool | os.PathLike[str]
Option: TypeAlias = Scalar | Sequence[Scalar] | None
"""The value of an option: a repeatable option takes a list, or one value."""


def resolved_keywords(
    where: str,
    spec: CommandSpec,
    options: Mapping[str, Option],
    sources: Sequence[OptionSource] = (),
) -> Resolved:
    """Resolve the keywords of a call as the options of a command.

    Args:
        where: the call, for messages, such as "s2st.train()".
        spec: the options.
        options: the keywords.
        sources: values that the keywords override, such as those of an option file.

    Raises:
        ConfigError: an unknown keyword or a bad value.
        UsageError: an unknown component, or options that contradict each other.
    """
    roles = {role.name for role in spec.roles}
    plain = {name: _plain(value) for name, value in options.items()}
    inherited = spec.inherited.options if spec.inherited else ()
    chosen = {name: value for name, value in plain.items() if name in (*roles, *inherited)}
    entries = select(spec, [*sources, OptionSource(where, chosen)])
    types = [*spec.fixed, *(entry.config_type for entry in entries.values())]
    specs = {option.name: option for config_type in types for option in option_specs(config_type)}
    values = {name: _listed(specs.get(name), value) for name, value in plain.items()}
    return resolve(spec, [*sources, OptionSource(where, values, keywords=True)])


def refuse_names(where: str, options: Mapping[str, Option], names: Collection[str]) -> None:
    """Raise ConfigError if a keyword is an option that only the command has.

    Args:
        where: the call, for messages.
        options: the keywords.
        names: names of the options of the command.
    """
    for name in options:
        if name in names:
            raise ConfigError(f"{where}: {name!r} is an option of the command line only")


def _plain(value: Any) -> Any:
    """Return paths as text, and numpy's numbers and arrays as Python's; the rest as it is."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str | bytes | bool) or value is None:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if hasattr(value, "tolist"):  # an array
        value = value.tolist()
    if isinstance(value, Sequence):
        return tuple(_plain(item) for item in value)
    return value


def _listed(spec: OptionSpec | None, value: Any) -> Any:
    """Return a single value of a repeatable option as a list."""
    if spec is not None and spec.repeated and isinstance(value, str | int | float):
        return (value,)
    return value
