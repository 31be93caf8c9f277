"""Registry of named components (config dataclass, builder, description), and plugin loading.

A builder may be given as "module:function", so that listing names and options imports nothing
heavy. The module that owns a registry registers the built-in components; no folder is scanned.
"""

import dataclasses
import difflib
import importlib
import importlib.metadata
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from s2st.errors import ConfigError, UsageError
from s2st.options.option_fields import check_value, option_specs
from s2st.options.plugin_faults import note_module, plugin_place
from s2st.process.stop_signals import Stopped

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
PLUGIN_GROUP = "s2st.plugins"
log = logging.getLogger("s2st")


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T]):
    """One named component of a registry.

    Attributes:
        config_type: frozen dataclass, the only definition of the component's options.
        builder: makes the component; a callable or "module:function".
        base: name of the entry that a preset is based on; `name` for any other entry.
        overrides: values that a preset sets; empty for any other entry.
        kind, component: as in the registry.
    """

    name: str
    config_type: type
    builder: Callable[..., T] | str
    description: str
    base: str
    overrides: Mapping[str, Any]
    kind: str = ""
    component: str | None = None

    def build(self, *arguments: Any) -> T:
        """Call the builder; import it first if it was given as "module:function".

        Raises:
            UsageError: the builder takes other arguments, or returns an object of another class.
        """
        builder = self.builder
        if isinstance(builder, str):
            builder = _import_object(builder)
        where = f"{self.kind} {self.name!r}: its builder, {_module_of(self.builder)},"
        try:
            component = builder(*arguments)
        except TypeError as error:
            trace = error.__traceback__
            if trace is None or trace.tb_next is not None:  # raised inside the builder
                raise
            reason = " ".join(str(error).split())
            raise UsageError(f"{where} cannot be called: {reason}") from error
        if self.component is not None:
            expected: type = _import_object(self.component)
            if not isinstance(component, expected):
                raise UsageError(
                    f"{where} returned a value of type {type(component).__name__}, "
                    f"not a {expected.__name__}"
                )
        return component


class Registry(Generic[T]):
    """Components of one kind, by name.

    Args:
        kind: singular noun for messages ("architecture").
        component: class of the components, as "module:class"; None accepts any object.
    """

    def __init__(self, kind: str, component: str | None = None) -> None:
        self.kind = kind
        self.component = component
        self._entries: dict[str, Entry[T]] = {}

    def register(
        self, name: str, config_type: type, builder: Callable[..., T] | str, description: str
    ) -> None:
        """Add an entry.

        Raises:
            UsageError: the name is taken or cannot be typed, the config is not a frozen dataclass
                of options, or the builder or the description has the wrong type.
        """
        subject = f"{self.kind} {_checked_name(self.kind, name)!r}"
        is_class = isinstance(config_type, type) and dataclasses.is_dataclass(config_type)
        if not (is_class and _is_frozen(config_type)):
            raise UsageError(f"{subject}: its config must be a frozen dataclass")
        _check_options(subject, config_type)
        if not (callable(builder) or isinstance(builder, str)):
            raise UsageError(
                f"{subject}: its builder must be a function, a class or module:function"
            )
        if not isinstance(description, str):
            raise UsageError(f"{subject}: its description must be text")
        self._add(
            Entry(name, config_type, builder, description, name, {}, self.kind, self.component)
        )

    def registered(self, name: str, config_type: type, description: str) -> Callable[[F], F]:
        """Return a decorator that registers a builder; plugins use this form of `register`."""

        def decorate(builder: F) -> F:
            self.register(name, config_type, builder, description)
            return builder

        return decorate

    def preset(self, name: str, base: str, overrides: Mapping[str, Any], description: str) -> None:
        """Add a preset: a name for `base` with other default values."""
        entry = self.get(base)
        known = {field.name for field in dataclasses.fields(entry.config_type)}
        unknown = set(overrides) - known
        if unknown:
            raise UsageError(f"preset {name!r}: {base} has no option {sorted(unknown)[0]!r}")
        merged = {**entry.overrides, **overrides}
        _checked_name(self.kind, name)
        self._add(dataclasses.replace(entry, name=name, description=description, overrides=merged))

    def get(self, name: str, offered: Sequence[str] | None = None) -> Entry[T]:
        """Return the entry of that name, which may be written with "_" for "-", as fairseq does.

        Args:
            name: the name.
            offered: names for the message; None for all.

        Raises:
            UsageError: there is no such entry; the message suggests similar names.
        """
        if name not in self._entries:
            load_entry_point_plugins()
        for spelling in (name, name.replace("_", "-")):
            if spelling in self._entries:
                return self._entries[spelling]
        names = self.names() if offered is None else offered
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        raise UsageError(f"unknown {self.kind} {name[:80]!r}; {hint}")

    def names(self, presets: bool = True) -> list[str]:
        """Return all names in order of registration, with or without presets."""
        return [name for name, entry in self._entries.items() if presets or entry.base == name]

    def entries(self) -> list[Entry[T]]:
        """Return all entries in order of registration."""
        return list(self._entries.values())

    def _add(self, entry: Entry[T]) -> None:
        if entry.name in self._entries:
            raise UsageError(f"{self.kind} {entry.name!r} is registered twice")
        self._entries[entry.name] = entry
        note_module(_module_of(entry.builder))
        note_module(entry.config_type.__module__)


def _import_object(reference: str) -> Any:
    """Return the object that "module:name" refers to."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _module_of(builder: Callable[..., Any] | str) -> str:
    if isinstance(builder, str):
        return builder.partition(":")[0]
    return str(getattr(builder, "__module__", None) or type(builder).__module__)


def _checked_name(kind: str, name: object) -> str:
    """Return the name; raise UsageError if it cannot be typed on a command line."""
    if not (isinstance(name, str) and 0 < len(name) <= 80):
        raise UsageError(f"{kind} {str(name)[:80]!r}: its name must be text of 1 to 80 characters")
    if name.startswith("-") or not name.isprintable() or any(c.isspace() for c in name):
        raise UsageError(
            f"{kind} {name!r}: a name must not start with '-' and must not contain white space or "
            "control characters"
        )
    return name


def _check_options(subject: str, config_type: type) -> None:
    """Raise UsageError for a dataclass field that cannot be an option."""
    try:
        specs = option_specs(config_type)
    except (NameError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{subject}: its config's annotations cannot be read: {error}") from error
    for spec in specs:
        field = f"{subject}: the config's field {spec.name!r}"
        if spec.kind not in (int, float, bool, str):
            raise UsageError(f"{field} must be an int, float, bool, str or a tuple of one of these")
        if spec.default is not dataclasses.MISSING and spec.default is not None:
            try:
                check_value(spec, spec.default, field)
            except ConfigError as error:
                raise UsageError(f"{error} (its default)") from error


_loaded_plugins: list[str] = []
_entry_points_loaded = False


def load_plugin(module: str) -> None:
    """Import a plugin module, which registers its components; raise UsageError in one line."""
    if module in _loaded_plugins:
        return
    if module.endswith(".py"):
        raise UsageError(
            f"plugin {module!r} cannot be loaded: give the module's name without .py, and add its "
            "folder to PYTHONPATH"
        )
    note_module(module)
    try:
        importlib.import_module(module)
    except Stopped:
        raise
    except BaseException as error:  # foreign code may raise anything
        reason = str(error).splitlines()[0] if str(error) else ""
        message = f"plugin {module!r} cannot be loaded: {type(error).__name__}: {reason}"
        place = plugin_place(error)
        raise UsageError(message if place is None else f"{message} ({place})") from error
    _loaded_plugins.append(module)


def load_entry_point_plugins() -> None:
    """Import every plugin of the entry point group `s2st.plugins`, once per process.

    A broken plugin causes only a warning, because most commands do not use it.
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
    """Return the names of the plugin modules loaded so far, for a checkpoint's record."""
    return tuple(_loaded_plugins)


def _is_frozen(config_type: type) -> bool:
    return bool(config_type.__dataclass_params__.frozen)  # type: ignore[attr-defined]
