"""Command-line options made from config dataclasses: the one bridge between them and click.

Which options a command has depends on the components chosen (`--arch gru`), so the arguments are
looked through for those choices before click parses them. Every command is a `Command`, which
refuses what click would pass over: an option that is given twice, and an empty value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import click
from click.core import ParameterSource

from s2st.errors import UsageError
from s2st.options.config import EMPTY, OptionSpec, Range, option_specs, read_option_file, shown
from s2st.options.registry import load_plugin
from s2st.options.resolution import CommandSpec, OptionSource, Resolved, Role, resolve, select
from s2st_cli.lazy_group import PlainCommand
from s2st_cli.option_effects import check_effects
from s2st_cli.path_checks import check_paths

COMMAND_LINE = "command line"


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number of a finite range, for options that are no config fields.

    Args:
        kind: int or float.
        minimum, maximum: the range.
        open_minimum: whether the range leaves out `minimum` itself.
    """

    def __init__(
        self, kind: type, minimum: float, maximum: float, *, open_minimum: bool = False
    ) -> None:
        self.name = "number"
        self.kind = kind
        self.range = Range(minimum, maximum, open_minimum)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        """The number; fails with a line that says what is allowed."""
        number = _parsed(self.kind, value, self, param, ctx)
        fault = self.range.fault(number)
        if fault is not None:
            self.fail(f"it {fault}", param, ctx)
        return number


class _Parsed(click.ParamType):  # type: ignore[type-arg]
    """A number as text; its config record checks the range."""

    def __init__(self, kind: type) -> None:
        self.name = "number"
        self.kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        return _parsed(self.kind, value, self, param, ctx)


def _parsed(
    kind: type,
    value: Any,
    type_: "Number | _Parsed",
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> int | float:
    try:
        number: int | float = kind(value)
        return number
    except ValueError:  # also a whole number of more digits than Python reads
        what = "a whole number" if kind is int else "a number"
        type_.fail(f"{shown(value)} is not {what}", param, ctx)


class NumberOption(click.Option):
    """A click option of type `Number`, whose range is shown in its help."""

    def __init__(
        self,
        param_decls: Sequence[str],
        *,
        type: Number,
        help: str,
        default: float | None = None,
        multiple: bool = False,
    ) -> None:
        start = "" if default is None else f"default: {default}; "
        super().__init__(
            param_decls,
            type=type,
            help=f"{help}  [{start}{type.range}]",
            default=default,
            multiple=multiple,
            metavar="N" if type.kind is int else "X",
        )


class SpecOption(click.Option):
    """A click option that stands for a config field, shown under its section."""

    section: str = ""


class Command(PlainCommand):
    """A command that refuses an option of one value given twice, an empty value, and outputs that
    are inputs.

    Attributes:
        may_be_empty: names of the parameters that take an empty value. Those of config fields are
            not asked here: `check_value` knows them.
    """

    may_be_empty: ClassVar[frozenset[str]] = frozenset({"title"})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses as click does; raises UsageError for what click would pass over."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        if not any(parameter.is_eager for parameter in order):  # such as --help
            for parameter in order:
                if _takes_one(parameter) and order.count(parameter) > 1:
                    flag = max(parameter.opts, key=len)
                    raise UsageError(f"{flag} is given twice; it takes one value")
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            name = parameter.name or ""
            if isinstance(parameter, SpecOption) or name in self.may_be_empty:
                continue
            value = ctx.params.get(name)
            if value == "" or (isinstance(value, tuple) and "" in value):
                raise UsageError(f"{_shown_name(parameter)} is empty; {EMPTY}")
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Checks the paths, then runs the command."""
        check_paths(ctx.params)
        return super().invoke(ctx)


def _takes_one(parameter: click.Parameter) -> bool:
    """Whether an option has one value, also "yes" or "no" (`--unk/--no-unk`); a plain flag none."""
    if not isinstance(parameter, click.Option) or parameter.multiple or parameter.count:
        return False
    return not parameter.is_flag or bool(parameter.secondary_opts)


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
        extra: parameters that are not config fields (arguments, files).
        recipes: named sets of values for `--recipe`, below a config file in rank.
        short_flags: further spellings of options of the spec, by option name.
    """

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
                ["--config"], metavar="FILE", help="TOML file of options; the command line wins"
            ),
            click.Option(
                ["--plugin"],
                multiple=True,
                metavar="MODULE",
                help="import a module that registers more components",
            ),
        ]
        if self.recipes:
            names = ", ".join(self.recipes)
            made.append(click.Option(["--recipe"], metavar="NAME", help=f"preset of all: {names}"))
        return made

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Finds the chosen components, adds their options, then parses as click does."""
        for module in _peek_all(args, ["--plugin"]):
            load_plugin(module)
        sources = self._sources(_peek(args, ["--recipe"]), _peek(args, ["--config"]))
        chosen = {}
        for role in self.spec.roles:
            value = _peek(args, _role_flags(role))
            if value is not None:
                chosen[role.name] = value
        sources.append(OptionSource(COMMAND_LINE, chosen))
        entries = select(self.spec, sources)
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
            owner = self._owner(error.option_name)
            if owner is None:
                raise
            raise UsageError(f"{error.option_name} is an option of {owner}: add that") from error

    def _owner(self, flag: str) -> str | None:
        """The choice, not made, that would bring an option, such as "--search sampling"."""
        for role in self.spec.roles:
            for entry in role.offered():
                if any(option.flag == flag for option in option_specs(entry.config_type)):
                    return f"{_role_flags(role)[0]} {entry.name}"
        return None

    def invoke(self, ctx: click.Context) -> Any:
        """Resolves all options, checks the files that they name, and runs the job."""
        names = {parameter.name for parameter in self._fixed_params}
        given = {
            name: value
            for name, value in ctx.params.items()
            if name not in names and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE
        }
        sources = self._sources(ctx.params.get("recipe"), ctx.params.get("config"))
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
        sources = []
        if recipe is not None:
            if recipe not in self.recipes:
                known = ", ".join(self.recipes) or "none"
                raise UsageError(f"unknown recipe {recipe!r}; known: {known}")
            # lenient: another architecture than the recipe's may lack some of its options
            sources.append(OptionSource(f"recipe {recipe}", self.recipes[recipe], lenient=True))
        if config is not None:
            sources.append(OptionSource(config, read_option_file(config)))
        return sources

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by section: general ones first, then those of each chosen component."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = getattr(parameter, "section", "") or "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        for role in self.spec.roles:
            names = ", ".join(entry.name for entry in role.offered())
            with formatter.section(f"--{role.name.replace('_', '-')} is one of"):
                formatter.write_text(names + "; each has options of its own: name it with --help")


def _role_flags(role: Role) -> list[str]:
    return ["--" + role.name.replace("_", "-"), *role.flags]


def _role_option(role: Role) -> click.Option:
    help = f"{role.help}  [default: {role.default}]"
    return SpecOption([*_role_flags(role), role.name], metavar="NAME", help=help)


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
        notes.append(str(spec.range))
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
        metavar=None if spec.choices else {int: "N", float: "X"}.get(spec.kind, "TEXT"),
    )


def _type(spec: OptionSpec) -> Any:
    if spec.choices:
        return click.Choice(spec.choices)
    return _Parsed(spec.kind) if spec.numeric else spec.kind


def _peek_all(args: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Values of an option in unparsed arguments: `--flag v`, `--flag=v`, `-fv`."""
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
