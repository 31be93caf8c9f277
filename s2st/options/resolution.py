"""Resolution of a command's options from presets, option files and the command line.

A command has fixed config records and roles (architecture, criterion, search, ...). An entry of a
registry fills each role. The options of all of them share one flat name space.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from s2st.errors import ConfigError, UsageError
from s2st.options.option_fields import (
    make_config,
    option_specs,
    read_option_file,
    shown,
    unknown_option_message,
)
from s2st.options.registry import Entry, Registry

C = TypeVar("C")


@dataclass(frozen=True)
class Role:
    """A component that the user chooses by name: option `name` picks an entry of `registry`.

    Attributes:
        excluded: entries that the command does not offer, and why it refuses them.
    """

    name: str
    registry: Registry[Any]
    default: str
    help: str
    flags: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)

    def offered(self) -> list[Entry[Any]]:
        """Return the entries that the command offers."""
        return [entry for entry in self.registry.entries() if entry.name not in self.excluded]

    def chosen(self, name: str) -> Entry[Any]:
        """Return the entry of a name; raise UsageError if there is none that the command offers."""
        entry = self.registry.get(name, [offered.name for offered in self.offered()])
        if entry.name in self.excluded:
            flag = self.name.replace("_", "-")
            raise UsageError(f"--{flag} {entry.name}: {self.excluded[entry.name]}")
        return entry


@dataclass(frozen=True)
class OptionSource:
    """Option values from one source: a recipe, an option file or the command line.

    Attributes:
        where: name of the source, for messages.
        values: option name (with "_") to value.
        lenient: whether options are ignored that none of the chosen components has.
        keywords: whether the names are keywords of a Python call, which messages show with "_".
    """

    where: str
    values: Mapping[str, Any]
    lenient: bool = False
    keywords: bool = False


@dataclass(frozen=True)
class Inherited:
    """Option values that come from a file which other options name, such as a checkpoint.

    They override defaults. A preset that the user names, and every given option, override them.

    Attributes:
        options: names of the options that `read` needs.
        read: returns the values, given those of `options` that the user gave; None for none.
    """

    options: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], OptionSource | None]


@dataclass(frozen=True)
class CommandSpec:
    """Config dataclasses and roles that define a command's options."""

    fixed: tuple[type, ...]
    roles: tuple[Role, ...] = ()
    inherited: Inherited | None = None


@dataclass(frozen=True)
class Resolved:
    """Resolved options: a config record for every fixed type; an entry and a record by role."""

    fixed: Mapping[type, Any]
    entries: Mapping[str, Entry[Any]]
    configs: Mapping[str, Any]

    def config(self, config_type: type[C]) -> C:
        """Return the record of a fixed type."""
        record: C = self.fixed[config_type]
        return record


def named_sources(
    recipes: Mapping[str, Mapping[str, Any]], recipe: str | None, config: str | None
) -> list[OptionSource]:
    """Return the option values of a recipe and of an option file; the file overrides the recipe.

    Args:
        recipes: the recipes of the command, by name.
        recipe: name of a recipe, None for none.
        config: path of an option file, None for none.

    Raises:
        UsageError: an unknown recipe.
        S2STError: the file cannot be read.
    """
    sources = []
    if recipe is not None:
        if recipe not in recipes:
            known = ", ".join(recipes) or "none"
            raise UsageError(f"unknown recipe {recipe!r}; known: {known}")
        # lenient, because the chosen architecture may lack some of the recipe's options
        sources.append(OptionSource(f"recipe {recipe}", recipes[recipe], lenient=True))
    if config is not None:
        sources.append(OptionSource(config, read_option_file(config)))
    return sources


def owners(spec: CommandSpec, name: str) -> tuple[Role, list[str]] | None:
    """Return the role whose entries have an option, and their names without presets.

    Args:
        spec: the command's roles.
        name: the option's name, with "_".

    Returns:
        None if no entry that the command offers has the option.
    """
    for role in spec.roles:
        names = [
            entry.name
            for entry in role.offered()
            if entry.base == entry.name
            and any(option.name == name for option in option_specs(entry.config_type))
        ]
        if names:
            return role, names
    return None


def alternatives(names: Sequence[str]) -> str:
    """Return "a", "a or b", "a, b or c"."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def select(spec: CommandSpec, sources: Sequence[OptionSource]) -> dict[str, Entry[Any]]:
    """Return the entry that the user chose for each role; raise UsageError for unknown names."""
    return _chosen(spec, _with_inherited(spec, sources))


def _with_inherited(spec: CommandSpec, sources: Sequence[OptionSource]) -> Sequence[OptionSource]:
    """Return the sources, preceded by the inherited values."""
    if spec.inherited is None:
        return sources
    given = {name: value for source in sources for name, value in source.values.items()}
    found = spec.inherited.read({n: given[n] for n in spec.inherited.options if n in given})
    if found is None:
        return sources
    values = dict(found.values)
    for role in spec.roles:  # a preset that the user names overrides what is inherited
        if isinstance(given.get(role.name), str):
            for name in role.registry.get(given[role.name]).overrides:
                values.pop(name, None)
    return [OptionSource(found.where, values, lenient=True), *sources]


def _chosen(spec: CommandSpec, sources: Sequence[OptionSource]) -> dict[str, Entry[Any]]:
    entries = {}
    for role in spec.roles:
        name: Any = role.default
        for source in sources:
            name = source.values.get(role.name, name)
        if not isinstance(name, str):
            raise ConfigError(f"{role.name} must be a name, not {shown(name)}")
        entries[role.name] = role.chosen(name)
    return entries


def resolve(spec: CommandSpec, sources: Sequence[OptionSource]) -> Resolved:
    """Build every config record of a command, and call its `check` method if it has one.

    `check` of a config dataclass raises UsageError where options contradict each other.

    Args:
        spec: the command's config dataclasses and roles.
        sources: option values; a later source overrides an earlier one.

    Raises:
        ConfigError: an unknown option or a bad value; the message names its source.
        UsageError: an unknown component name, or options that contradict each other.
    """
    sources = _with_inherited(spec, sources)
    entries = _chosen(spec, sources)
    types = [*spec.fixed, *(entry.config_type for entry in entries.values())]
    known = {option.name for config_type in types for option in option_specs(config_type)}
    known |= {role.name for role in spec.roles}
    for source in sources:
        for name in source.values:
            if name not in known and not source.lenient:
                raise ConfigError(_unknown(name, known, source, spec, entries))
    fixed = {config_type: _record(config_type, {}, sources) for config_type in spec.fixed}
    configs = {
        role: _record(entry.config_type, entry.overrides, sources)
        for role, entry in entries.items()
    }
    for record in (*fixed.values(), *configs.values()):
        if hasattr(record, "check"):
            record.check()
    return Resolved(fixed, entries, configs)


def _record(config_type: type, preset: Mapping[str, Any], sources: Sequence[OptionSource]) -> Any:
    names = {option.name for option in option_specs(config_type)}
    values = dict(preset)
    where = "options"
    for source in sources:
        values |= {name: value for name, value in source.values.items() if name in names}
        make_config(config_type, values, source.where)  # so that a message names the source
        where = source.where
    return make_config(config_type, values, where)


def _unknown(
    name: str,
    known: set[str],
    source: OptionSource,
    spec: CommandSpec,
    entries: Mapping[str, Entry[Any]],
) -> str:
    """Return the message for an unknown option; name the unchosen entries that have it."""
    found = owners(spec, name)
    if found is not None:
        role, names = found
        shown_name = name if source.keywords else name.replace("_", "-")
        return (
            f"{source.where}: option {shown_name!r} "
            f"belongs to {role.registry.kind} {alternatives([repr(entry) for entry in names])}, "
            f"but {entries[role.name].name!r} is chosen"
        )
    return unknown_option_message(name, known, source.where, source.keywords)
