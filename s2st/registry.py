"""The one registry class: names to (config dataclass, builder, description), and plugins.

A builder may be given as "module:function", so that listing names and options imports nothing
heavy. Built-ins register by name in the module that owns each registry; nothing is scanned.
"""

import dataclasses
import difflib
import importlib
import importlib.metadata
import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from s2st.errors import UsageError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
PLUGIN_GROUP = "s2st.plugins"
log = logging.getLogger("s2st")


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T]):
    """What a registry knows of one name.

    `config_type` is a frozen dataclass, the only definition of the entry's options. `overrides`
    are the values that a preset sets; for an entry that is not a preset it is empty and `base`
    equals `name`.
    """

    name: str
    config_type: type
    builder: Callable[..., T] | str
    description: str
    base: str
    overrides: Mapping[str, Any]

    def build(self, *arguments: Any) -> T:
        """Calls the builder, importing it first when it was given as "module:function"."""
        builder = self.builder
        if isinstance(builder, str):
            module, _, attribute = builder.partition(":")
            builder = getattr(importlib.import_module(module), attribute)
        return builder(*arguments)


class Registry(Generic[T]):
    """Names of one kind of component. `kind` is its singular for messages ("architecture")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def register(
        self, name: str, config_type: type, builder: Callable[..., T] | str, description: str
    ) -> None:
        """Adds an entry. Raises UsageError if the name is taken or the config no dataclass."""
        if not (dataclasses.is_dataclass(config_type) and _is_frozen(config_type)):
            raise UsageError(f"{self.kind} {name!r}: its config must be a frozen dataclass")
        self._add(Entry(name, config_type, builder, description, name, {}))

    def registered(self, name: str, config_type: type, description: str) -> Callable[[F], F]:
        """`register` as a decorator of the builder, the form that plugins use."""

        def decorate(builder: F) -> F:
            self.register(name, config_type, builder, description)
            return builder

        return decorate

    def preset(self, name: str, base: str, overrides: Mapping[str, Any], description: str) -> None:
        """Adds a name for `base` with other default values."""
        entry = self.get(base)
        known = {field.name for field in dataclasses.fields(entry.config_type)}
        unknown = set(overrides) - known
        if unknown:
            raise UsageError(f"preset {name!r}: {base} has no option {sorted(unknown)[0]!r}")
        merged = {**entry.overrides, **overrides}
        self._add(Entry(name, entry.config_type, entry.builder, description, entry.base, merged))

    def get(self, name: str) -> Entry[T]:
        """The entry of that name; raises UsageError that lists the nearest names."""
        if name not in self._entries:
            load_entry_point_plugins()
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(self.names())}"
        raise UsageError(f"unknown {self.kind} {name[:80]!r}; {hint}")

    def names(self, presets: bool = True) -> list[str]:
        """All names in order of registration; without presets if asked."""
        return [name for name, entry in self._entries.items() if presets or entry.base == name]

    def entries(self) -> list[Entry[T]]:
        """All entries in order of registration."""
        return list(self._entries.values())

    def _add(self, entry: Entry[T]) -> None:
        if entry.name in self._entries:
            raise UsageError(f"{self.kind} {entry.name!r} is registered twice")
        self._entries[entry.name] = entry


_loaded_plugins: list[str] = []
_entry_points_loaded = False


def load_plugin(module: str) -> None:
    """Imports a plugin module, which registers its entries; raises UsageError in one line."""
    if module in _loaded_plugins:
        return
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # foreign code: anything may come out of it
        reason = str(error).splitlines()[0] if str(error) else ""
        message = f"plugin {module!r} cannot be loaded: {type(error).__name__}: {reason}"
        raise UsageError(message) from error
    _loaded_plugins.append(module)


def load_entry_point_plugins() -> None:
    """Imports every plugin that is installed under the entry point group `s2st.plugins`, once.

    A broken one is a warning that names it: it must not take down commands that do not use it.
    """
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    _entry_points_loaded = True
    for point in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        try:
            load_plugin(point.value.partition(":")[0])
        except UsageError as error:
            log.warning("%s (installed as entry point %s)", error, point.name)


def loaded_plugins() -> tuple[str, ...]:
    """Modules loaded so far as plugins, to be recorded by name in a checkpoint."""
    return tuple(_loaded_plugins)


def _is_frozen(config_type: type) -> bool:
    return bool(config_type.__dataclass_params__.frozen)  # type: ignore[attr-defined]
