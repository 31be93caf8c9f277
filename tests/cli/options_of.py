"""Every command of s2st with every parameter it can have, for tests that go through them all."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from s2st.options.option_fields import OptionSpec, option_specs
from s2st_cli.click_options import ConfiguredCommand, _options, _role_option
from s2st_cli.lazy_group import module_name
from s2st_cli.main import COMMANDS


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command.

    Attributes:
        words: of the command line, which choose the component that brings the parameter.
        parameter: as click knows it.
        spec: as the config dataclass has it; None of one that is no config field.
    """

    words: tuple[str, ...]
    parameter: click.Parameter
    spec: OptionSpec | None = None

    @property
    def flag(self) -> str:
        return max(self.parameter.opts, key=len)

    def __str__(self) -> str:
        return f"{' '.join(self.words)} {self.flag}"


def without(words: Sequence[str], *flags: str) -> list[str]:
    """The words less the flags and their values: an option is given once."""
    kept = list(words)
    for flag in flags:
        if flag in kept:
            place = kept.index(flag)
            del kept[place : place + 2]
    return kept


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The words and the command, of each that is no group."""
    for name in COMMANDS:
        command = importlib.import_module(f"s2st_cli.{module_name(name)}").command
        if not isinstance(command, click.Group):
            yield (name,), command
            continue
        context = click.Context(command)
        for inner in command.list_commands(context):
            yield (name, inner), command.get_command(context, inner)


def parameters() -> Iterator[Parameter]:
    """Every parameter of every command; those of a component once a command."""
    for words, command in commands():
        for parameter in command.params if not isinstance(command, ConfiguredCommand) else []:
            yield Parameter(words, parameter)
        if not isinstance(command, ConfiguredCommand):
            continue
        for parameter in command._fixed_params:
            yield Parameter(words, parameter)
        for config_type in command.spec.fixed:
            yield from _of_config(words, config_type)
        for role in command.spec.roles:
            yield Parameter(words, _role_option(role))
            seen: set[Any] = set(command.spec.fixed)
            for entry in role.offered():
                if entry.config_type not in seen:
                    seen.add(entry.config_type)
                    chosen = (*words, f"--{role.name.replace('_', '-')}", entry.name)
                    yield from _of_config(chosen, entry.config_type)


def _of_config(words: tuple[str, ...], config_type: type) -> Iterator[Parameter]:
    made = _options(config_type, {}, "")
    for spec, parameter in zip(option_specs(config_type), made, strict=True):
        yield Parameter(words, parameter, spec)


def replaced(options: Sequence[object], flag: str, value: object) -> list[object]:
    """The options with another value of one of them, which must be given once."""
    at = options.index(flag)
    return [*options[: at + 1], value, *options[at + 2 :]]
