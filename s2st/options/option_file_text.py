"""The text of a TOML option file, which `--config` reads: the counterpart of `read_option_file`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from s2st.options.option_fields import NONE, OptionSpec, config_values, option_specs
from s2st.options.resolution import CommandSpec, Resolved


def toml_value(value: Any) -> str:
    """Return a value in TOML: a string, number, boolean or list of these.

    Raises:
        ValueError: no TOML value can express it.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's; JSON leaves DEL as it is, which TOML does not allow
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    raise ValueError(f"not a TOML value: {value!r}")


def toml_line(spec: OptionSpec, value: Any) -> str | None:
    """Return the line of an option; None if leaving the option out means the same."""
    if value is None:
        if spec.default is None:
            return None
        value = NONE
    return f"{spec.name.replace('_', '-')} = {toml_value(value)}"


def option_file(spec: CommandSpec, options: Resolved) -> Iterator[str]:
    """Yield the lines of a TOML file with all options of a command.

    Args:
        spec: the command's config records and roles.
        options: its resolved options.
    """
    for role in spec.roles:
        yield f"{role.name.replace('_', '-')} = {toml_value(options.entries[role.name].name)}"
    for config in options.fixed.values():
        yield from _section(config, type(config).__name__.removesuffix("Config").lower())
    for role in spec.roles:
        entry = options.entries[role.name]
        title = f"{role.registry.kind} {entry.name}"
        yield from _section(options.configs[role.name], title, entry.overrides)


def _section(config: Any, title: str, preset: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield a comment and the lines of a config record; `preset` has values that None overrides."""
    values = config_values(config)
    lines = []
    for spec in option_specs(type(config)):
        value = values[spec.name]
        if value is None and preset is not None and preset.get(spec.name) is not None:
            value = NONE
        line = toml_line(spec, value)
        if line is not None:
            lines.append(line)
    if lines:
        yield ""
        yield f"# {title}"
        yield from lines
