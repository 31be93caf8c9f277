"""Groups that import the module of a subcommand only when it is called, so `--help` is fast."""

import difflib
import importlib
import keyword
from collections.abc import Mapping
from typing import ClassVar

import click

from s2st.errors import UsageError
from s2st.process.torch_import import SPACE_OF_NUMPY, check_space
from s2st_cli.terminal_output import show_page


class PlainCommand(click.Command):
    """A command that prints its help with `show_page`; the base of all commands and groups."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option `--help`."""
        return click.Option(
            self.get_help_option_names(ctx),
            is_flag=True,
            expose_value=False,
            is_eager=True,
            help="Show this message and exit.",
            callback=_show_help,
        )


def _show_help(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        show_page(ctx.get_help())
        ctx.exit()


def module_name(command: str) -> str:
    """Return the end of the name of a command's module: `some_name`, or `import_`."""
    name = command.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


class LazyGroup(PlainCommand, click.Group):
    """A group that holds a name and one line of help for each subcommand.

    Attributes:
        lines: name -> line of help, in the order in which users need the commands.
        aliases: other spelling -> name; `--help` does not list them.
        prefix: the subcommand `some-name` is `command` in the module `PREFIXsome_name`.
    """

    lines: ClassVar[Mapping[str, str]]
    aliases: ClassVar[Mapping[str, str]] = {}
    prefix: ClassVar[str] = "s2st_cli."

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `lines`."""
        return list(self.lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command; raise UsageError for a misspelled name."""
        cmd_name = self.aliases.get(cmd_name, cmd_name)
        if cmd_name not in self.lines:
            near = difflib.get_close_matches(cmd_name, self.lines, n=2)
            if near:
                raise UsageError(f"no command {cmd_name!r}; did you mean {' or '.join(near)}?")
            return None
        check_space(SPACE_OF_NUMPY)
        module = importlib.import_module(self.prefix + module_name(cmd_name))
        command: click.Command = module.command
        command.name = cmd_name  # a function's name, if click.command made it
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines.items()))
