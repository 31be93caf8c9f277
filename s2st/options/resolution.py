"""Which components a command is made of, and one resolution of all its options.

A command has fixed config records and roles (architecture, criterion, search, ...), each filled
by an entry of a registry. Options of all of them share one flat name space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from s2st.errors import ConfigError
from s2st.options.config import make_config, option_specs, shown, unknown_option_message
from s2st.options.registry import Entry, Registry

C = TypeVar("C")


@dataclass(frozen=True)
class Role:
    """A choice by name: the option `name` picks an entry of `registry`.

    Attributes:
        without: entries that the command refuses with a message of its own, and does not offer.
    """

    name: str
    registry: Registry[Any]
    default: str
    help: str
    flags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def offered(self) -> list[Entry[Any]]:
        """The entries that the command takes."""
        return [entry for entry in self.registry.entries() if entry.name not in self.without]


@dataclass(frozen=True)
class CommandSpec:
    """All that a command's options are made of."""

    fixed: tuple[type, ...]
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True)
class OptionLayer:
    """Values from one place; later layers win. A lenient one may hold options nobody has."""

    where: str
    values: Mapping[str, Any]
    lenient: bool = False


@dataclass(frozen=True)
class Resolved:
    """The outcome: a config record for every fixed type, an entry and a record for every role."""

    fixed: Mapping[type, Any]
    entries: Mapping[str, Entry[Any]]
    configs: Mapping[str, Any]

    def config(self, config_type: type[C]) -> C:
        """The record of a fixed type."""
        record: C = self.fixed[config_type]
        return record


def select(spec: CommandSpec, layers: Sequence[OptionLayer]) -> dict[str, Entry[Any]]:
    """The entry that the layers choose for each role; raises UsageError for unknown names."""
    entries = {}
    for role in spec.roles:
        name: Any = role.default
        for layer in layers:
            name = layer.values.get(role.name, name)
        if not isinstance(name, str):
            raise ConfigError(f"{role.name} must be a name, not {shown(name)}")
        entries[role.name] = role.registry.get(name)
    return entries


def resolve(spec: CommandSpec, layers: Sequence[OptionLayer]) -> Resolved:
    """Builds every config record of a command, and calls `check` of those that have it.

    `check` of a config dataclass raises UsageError where its options contradict each other.

    Raises:
        ConfigError: an unknown option, or a value that does not fit, naming its layer.
        UsageError: an unknown component name, or options that contradict each other.
    """
    entries = select(spec, layers)
    types = [*spec.fixed, *(entry.config_type for entry in entries.values())]
    known = {option.name for config_type in types for option in option_specs(config_type)}
    known |= {role.name for role in spec.roles}
    for layer in layers:
        for name in layer.values:
            if name not in known and not layer.lenient:
                raise ConfigError(_unknown(name, known, layer.where, spec, entries))
    fixed = {config_type: _record(config_type, {}, layers) for config_type in spec.fixed}
    configs = {
        role: _record(entry.config_type, entry.overrides, layers) for role, entry in entries.items()
    }
    for record in (*fixed.values(), *configs.values()):
        if hasattr(record, "check"):
            record.check()
    return Resolved(fixed, entries, configs)


def _record(config_type: type, preset: Mapping[str, Any], layers: Sequence[OptionLayer]) -> Any:
    names = {option.name for option in option_specs(config_type)}
    values = dict(preset)
    where = "options"
    for layer in layers:
        own = {name: value for name, value in layer.values.items() if name in names}
        make_config(config_type, {**values, **own}, layer.where)  # a bad value names its layer
        values.update(own)
        where = layer.where
    return make_config(config_type, values, where)


def _unknown(
    name: str, known: set[str], where: str, spec: CommandSpec, entries: Mapping[str, Entry[Any]]
) -> str:
    """Says which other entry of a role would know the option, if one does."""
    for role in spec.roles:
        for entry in role.offered():
            if any(option.name == name for option in option_specs(entry.config_type)):
                chosen = entries[role.name].name
                flag = name.replace("_", "-")
                return (
                    f"{where}: option {flag!r} belongs to {role.registry.kind} {entry.name!r}, "
                    f"but {chosen!r} is chosen"
                )
    return unknown_option_message(name, known, where)
