"""Command-line options made from config dataclasses: the one bridge between them and click.

The options of a command depend on the chosen components (`--arch gru`), so `ConfiguredCommand`
searches the arguments for those choices before click parses them. Every command is a `Command`,
which refuses two things that click accepts silently: an option given twice and an empty value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from s2st.errors import S2STError, UsageError
from s2st.options.option_fields import (
    EMPTY,
    NONE,
    OptionSpec,
    option_specs,
)
from s2st.options.registry import load_plugin
from s2st.options.resolution import (
    CommandSpec,
    OptionSource,
    Resolved,
    Role,
    alternatives,
    named_sources,
    owners,
    resolve,
    select,
)
from s2st_cli.foreign_options import check_dashes
from s2st_cli.lazy_group import PlainCommand
from s2st_cli.number_options import Parsed
from s2st_cli.option_effects import check_effects
from s2st_cli.path_checks import FIGURES, FOLDERS, INPUTS, OUTPUTS, PREFIXES, check_paths

COMMAND_LINE = "command line"
PATHS = {*INPUTS, *OUTPUTS, *FOLDERS, *PREFIXES}


class _PathText(click.types.StringParamType):
    """Text that is a path: the shell completes file names."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Ask the shell for its own completion of files."""
        return [CompletionItem(incomplete, type="file")]


class SpecOption(click.Option):
    """A click option made from a config field or a role.

    Attributes:
        section: heading of the help section that lists the option; empty for the general one.
    """

    section: str = ""


class Command(PlainCommand):
    """A command that refuses repeated options, empty values, and outputs that are inputs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            UsageError: a repeated option, an empty value, or a long option with one dash.
        """
        check_dashes(self.name or "", args, [flag for p in self.get_params(ctx) for flag in p.opts])
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        if not any(parameter.is_eager for parameter in order):  # such as --help
            for parameter in order:
                if order.count(parameter) > 1 and _contradicts_itself(parameter, args):
                    flag = max(parameter.opts, key=len)
                    raise UsageError(f"{flag} is given twice; it takes one value")
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            name = parameter.name or ""
            if isinstance(parameter, SpecOption):  # `check_value` checks config fields
                continue
            value = ctx.params.get(name)
            if value == "" or (isinstance(value, tuple) and "" in value):
                argument = isinstance(parameter, click.Argument)
                remedy = "give it a value" if argument else EMPTY
                raise UsageError(f"{_shown_name(parameter)} is empty; {remedy}")
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters; those that are paths complete file names."""
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if parameter.name in PATHS and type(parameter.type) is click.types.StringParamType:
                parameter.type = _PathText()
        return parameters

    def invoke(self, ctx: click.Context) -> Any:
        """Check the paths, then run the command."""
        check_paths(ctx.params)
        return super().invoke(ctx)


def _takes_one(parameter: click.Parameter) -> bool:
    """Whether an option takes one value; the value of `--unk/--no-unk` is yes or no."""
    if not isinstance(parameter, click.Option) or parameter.multiple or parameter.count:
        return False
    return not parameter.is_flag or bool(parameter.secondary_opts)


def _contradicts_itself(parameter: click.Parameter, args: Sequence[str]) -> bool:
    """Whether an option that occurs several times may have several values."""
    if isinstance(parameter, click.Option) and parameter.is_flag:  # `--unk --unk` has one value
        return all(not set(args).isdisjoint(p) for p in (parameter.opts, parameter.secondary_opts))
    return _takes_one(parameter)


def _shown_name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return (parameter.metavar or parameter.name or "").upper()


class ConfiguredCommand(Command):
    """A command whose options come from a CommandSpec.

    Args:
        name: the subcommand's name.
        spec: config records and roles.
        run: called with the resolved options and the values of `extra`.
        help: its help text.
        extra: parameters that are not config fields: arguments and output files.
        recipes: named sets of option values for `--recipe`; a config file overrides them.
    """

    config_help = "TOML file of options; the command line overrides it"

    def __init__(
        self,
        name: str,
        spec: CommandSpec,
        run: Callable[[Resolved, Mapping[str, Any]], int | None],
        help: str,
        extra: Sequence[click.Parameter] = (),
        recipes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.spec = spec
        self.run = run
        self.recipes = recipes or {}
        self.extra = list(extra)
        super().__init__(name, params=[*self.extra, *self._general_options()], help=help)
        self._fixed_params = list(self.params)

    def _general_options(self) -> list[click.Option]:
        made = [
            click.Option(
                ["--config"],
                metavar="FILE",
                help=self.config_help,
            ),
            click.Option(
                ["--plugin"],
                multiple=True,
                metavar="MODULE",
                help="import a module that registers more components; repeatable",
            ),
        ]
        if self.recipes:
            names = ", ".join(self.recipes)
            help = f"named set of values for all options: {names}"
            made.append(click.Option(["--recipe"], metavar="NAME", help=help))
        return made

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the options of the chosen components, then parse the arguments."""
        for module in _peek_all(args, ["--plugin"]):
            load_plugin(module)
        sources = self._sources(_peek(args, ["--recipe"]), _peek(args, ["--config"]))
        chosen = {}
        for role in self.spec.roles:
            value = _peek(args, _role_flags(role))
            if value is not None:
                chosen[role.name] = value
        for name in self.spec.inherited.options if self.spec.inherited else ():
            values = _peek_all(args, ["--" + name.replace("_", "-")])
            if len(values) == 1:  # a second value is an error, which click finds below
                chosen[name] = values[0]
        sources.append(OptionSource(COMMAND_LINE, chosen))
        unread: S2STError | None = None
        try:
            entries = select(self.spec, sources)
        except S2STError as error:  # `invoke` reports it, after the check of all paths
            unread = error
            entries = select(replace(self.spec, inherited=None), sources)
        self.params = [*self._fixed_params]
        for role in self.spec.roles:
            self.params.append(_role_option(role))
        for config_type in self.spec.fixed:
            self.params += _options(config_type, {}, "")
        for role in self.spec.roles:
            entry = entries[role.name]
            title = f"Options of {role.registry.kind} {entry.name}"
            if entry.config_type not in self.spec.fixed:
                self.params += _options(entry.config_type, entry.overrides, title)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if unread is not None:
                raise unread from None
            owner = self._owner(error.option_name)
            if owner is None:
                raise
            raise UsageError(f"{error.option_name} needs {owner}") from error

    def _owner(self, flag: str) -> str | None:
        """The choices that add an option, such as "--search sampling or mbr"; None if none does."""
        found = owners(self.spec, flag.removeprefix("--").replace("-", "_"))
        if found is None:
            return None
        role, names = found
        return f"{_role_flags(role)[0]} {alternatives(names)}"

    def invoke(self, ctx: click.Context) -> Any:
        """Resolve all options, check paths and option effects, then run the command."""
        names = {parameter.name for parameter in self._fixed_params}
        given = {
            name: value
            for name, value in ctx.params.items()
            if name not in names and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE
        }
        sources = self._sources(ctx.params.get("recipe"), ctx.params.get("config"))
        if self.spec.inherited is not None:
            check_paths({name: ctx.params.get(name) for name in self.spec.inherited.options})
        resolved = resolve(self.spec, [*sources, OptionSource(COMMAND_LINE, given)])
        extra = {p.name: ctx.params.get(p.name) for p in self.extra if p.name is not None}
        records = [*resolved.fixed.values(), *resolved.configs.values()]
        values = {name: value for record in records for name, value in vars(record).items()}
        check_paths({**ctx.params, **values, **extra})
        given_extra = [
            name for name in extra if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE
        ]
        check_effects(self.name or "", [*given, *given_extra], resolved, extra)
        return self.run(resolved, extra)

    def _sources(self, recipe: str | None, config: str | None) -> list[OptionSource]:
        return named_sources(self.recipes, recipe, config)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the general options, then a section for each chosen component."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                title = getattr(parameter, "section", "") or "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        for role in self.spec.roles:
            names = ", ".join(entry.name for entry in role.offered())
            with formatter.section(f"--{role.name.replace('_', '-')} is one of"):
                flag = _role_flags(role)[0]
                formatter.write_text(f"{names}. `{flag} NAME --help` shows the options of NAME.")


def _role_flags(role: Role) -> list[str]:
    return ["--" + role.name.replace("_", "-"), *role.flags]


def _role_option(role: Role) -> click.Option:
    help = f"{role.help}  [default: {role.default}]"

    def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        found = [entry.name for entry in role.offered()]
        return [name for name in found if name.startswith(incomplete)]

    flags = [*_role_flags(role), role.name]
    return SpecOption(flags, metavar="NAME", help=help, shell_complete=names)


def _options(
    config_type: type, overrides: Mapping[str, Any], section: str
) -> list[click.Parameter]:
    made: list[click.Parameter] = []
    for spec in option_specs(config_type):
        option = _option(spec, overrides.get(spec.name, spec.default))
        option.section = section
        made.append(option)
    return made


def _option(spec: OptionSpec, default: Any) -> SpecOption:
    help = spec.help
    notes = []
    if not spec.repeated and default not in (None, ""):
        text = {True: "yes", False: "no"}.get(default, default) if spec.kind is bool else default
        notes.append(f"default: {text}")
    if spec.numeric and str(spec.range):
        notes.append(f"{spec.range} or none" if spec.can_be_none and default else str(spec.range))
    if notes:
        help += f"  [{'; '.join(notes)}]"
    if spec.kind is bool:
        flag = f"{spec.flag}/--no-{spec.flag[2:]}"
        return SpecOption([flag, spec.name], default=None, help=help)
    return SpecOption(
        [spec.flag, *spec.flags, spec.name],
        type=_type(spec),
        default=None,
        multiple=spec.repeated,
        help=help,
        metavar=None if spec.choices else _metavar(spec),
    )


def _metavar(spec: OptionSpec) -> str:
    letter = {int: "N", float: "X"}.get(spec.kind) or _text(spec.name)
    return "|".join([letter, *spec.words])


def _text(name: str) -> str:
    """Return the metavar of an option that takes text."""
    sets = {
        "FILE": OUTPUTS,
        "FOLDER": FOLDERS,
        "NAME": FIGURES,
        "PATH": INPUTS,
        "PREFIX": PREFIXES,
    }
    return next((word for word, names in sets.items() if name in names), "TEXT")


def _type(spec: OptionSpec) -> Any:
    if spec.choices:
        return click.Choice(spec.choices)
    words = (*spec.words, NONE) if spec.can_be_none else spec.words
    return Parsed(spec.kind, words) if spec.numeric else spec.kind


def _peek_all(args: Sequence[str], flags: Sequence[str]) -> list[str]:
    """The values of an option in unparsed arguments: `--flag v`, `--flag=v` or `-fv`."""
    found = []
    for position, argument in enumerate(args):
        if argument == "--":
            break
        for flag in flags:
            if argument == flag and position + 1 < len(args):
                found.append(args[position + 1])
            elif argument.startswith(flag + "="):
                found.append(argument[len(flag) + 1 :])
            elif len(flag) == 2 and argument.startswith(flag) and len(argument) > 2:
                found.append(argument[2:])
    return found


def _peek(args: Sequence[str], flags: Sequence[str]) -> str | None:
    found = _peek_all(args, flags)
    return found[-1] if found else None
