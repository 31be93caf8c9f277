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

from s2st.errors import ConfigError, UsageError
from s2st.options.config import check_value, option_specs
from s2st.options.plugin_faults import note_module, plugin_place
from s2st.process.stop_signals import Stopped

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
PLUGIN_GROUP = "s2st.plugins"
log = logging.getLogger("s2st")


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T]):
    """What a registry knows of one name.

    `config_type` is a frozen dataclass, the only definition of the entry's options. `overrides`
    are the values that a preset sets; for an entry that is not a preset it is empty and `base`
    equals `name`. `kind` and `makes` are the registry's.
    """

    name: str
    config_type: type
    builder: Callable[..., T] | str
    description: str
    base: str
    overrides: Mapping[str, Any]
    kind: str = ""
    makes: str | None = None

    def build(self, *arguments: Any) -> T:
        """Calls the builder, importing it first when it was given as "module:function".

        Raises:
            UsageError: the builder takes other arguments, or gives something else than it should.
        """
        builder = self.builder
        if isinstance(builder, str):
            builder = _named(builder)
        where = f"{self.kind} {self.name!r}: its builder, {_module_of(self.builder)},"
        try:
            made = builder(*arguments)
        except TypeError as error:
            trace = error.__traceback__
            if trace is None or trace.tb_next is not None:  # raised further in
                raise
            reason = " ".join(str(error).split())
            raise UsageError(f"{where} cannot be called: {reason}") from error
        if self.makes is not None:
            wanted: type = _named(self.makes)
            if not isinstance(made, wanted):
                raise UsageError(
                    f"{where} gave a value of type {type(made).__name__}, not a {wanted.__name__}"
                )
        return made


class Registry(Generic[T]):
    """Names of one kind of component.

    Args:
        kind: its singular for messages ("architecture").
        makes: the class, as "module:class", of what all builders give; None: anything.
    """

    def __init__(self, kind: str, makes: str | None = None) -> None:
        self.kind = kind
        self.makes = makes
        self._entries: dict[str, Entry[T]] = {}

    def register(
        self, name: str, config_type: type, builder: Callable[..., T] | str, description: str
    ) -> None:
        """Adds an entry.

        Raises:
            UsageError: the name is taken or not one that can be typed, the config is no frozen
                dataclass of options, or the builder or the description is of another type.
        """
        whose = f"{self.kind} {_checked_name(self.kind, name)!r}"
        is_class = isinstance(config_type, type) and dataclasses.is_dataclass(config_type)
        if not (is_class and _is_frozen(config_type)):
            raise UsageError(f"{whose}: its config must be a frozen dataclass")
        _check_options(whose, config_type)
        if not (callable(builder) or isinstance(builder, str)):
            raise UsageError(f"{whose}: its builder must be a function, a class or module:function")
        if not isinstance(description, str):
            raise UsageError(f"{whose}: its description must be text")
        self._add(Entry(name, config_type, builder, description, name, {}, self.kind, self.makes))

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
        named = _checked_name(self.kind, name)
        self._add(dataclasses.replace(entry, name=named, description=description, overrides=merged))

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
        note_module(_module_of(entry.builder))
        note_module(entry.config_type.__module__)


def _named(place: str) -> Any:
    """What "module:name" names."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _module_of(builder: Callable[..., Any] | str) -> str:
    if isinstance(builder, str):
        return builder.partition(":")[0]
    return str(getattr(builder, "__module__", None) or type(builder).__module__)


def _checked_name(kind: str, name: object) -> str:
    """A name that can be typed on a command line; raises UsageError."""
    if not (isinstance(name, str) and 0 < len(name) <= 80):
        raise UsageError(f"{kind} {str(name)[:80]!r}: its name must be text of 1 to 80 characters")
    if name.startswith("-") or not name.isprintable() or any(c.isspace() for c in name):
        raise UsageError(
            f"{kind} {name!r}: a name must not begin with - nor hold white space or control "
            "characters"
        )
    return name


def _check_options(whose: str, config_type: type) -> None:
    """Raises UsageError for a field that no option can be made of."""
    try:
        specs = option_specs(config_type)
    except (NameError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{whose}: its config's annotations cannot be read: {error}") from error
    for spec in specs:
        field = f"{whose}: the config's field {spec.name!r}"
        if spec.kind not in (int, float, bool, str):
            raise UsageError(f"{field} must be an int, float, bool, str or a tuple of one of them")
        if spec.default is not dataclasses.MISSING and spec.default is not None:
            try:
                check_value(spec, spec.default, field)
            except ConfigError as error:
                raise UsageError(f"{error} (its default)") from error


_loaded_plugins: list[str] = []
_entry_points_loaded = False


def load_plugin(module: str) -> None:
    """Imports a plugin module, which registers its entries; raises UsageError in one line."""
    if module in _loaded_plugins:
        return
    if module.endswith(".py"):
        raise UsageError(
            f"plugin {module!r} cannot be loaded: name the module, without .py, and put its folder "
            "on PYTHONPATH"
        )
    note_module(module)
    try:
        importlib.import_module(module)
    except Stopped:
        raise
    except BaseException as error:  # foreign code: anything may come out of it
        reason = str(error).splitlines()[0] if str(error) else ""
        message = f"plugin {module!r} cannot be loaded: {type(error).__name__}: {reason}"
        place = plugin_place(error)
        raise UsageError(message if place is None else f"{message} ({place})") from error
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
