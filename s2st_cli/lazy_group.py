"""Groups of subcommands whose modules are imported only when one is called: a quick `--help`."""

import difflib
import importlib
from collections.abc import Mapping
from typing import ClassVar

import click

from s2st.errors import UsageError
from s2st.process.torch_import import SPACE_OF_NUMPY, check_space
from s2st_cli.terminal_output import show_page


class PlainCommand(click.Command):
    """A command whose help goes to stdout by the way of all that is shown there.

    Every command and group of the program is one.
    """

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option `--help`."""
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


class LazyGroup(PlainCommand, click.Group):
    """A group that knows its subcommands by name and one line of help.

    Attributes:
        lines: name -> line of help, in the order of the work.
        prefix: of the modules: subcommand `some-name` is `command` in `PREFIXsome_name`.
    """

    lines: ClassVar[Mapping[str, str]]
    prefix: ClassVar[str] = "s2st_cli."

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work."""
        return list(self.lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self.lines:
            near = difflib.get_close_matches(cmd_name, self.lines, n=2)
            if near:
                raise UsageError(f"no command {cmd_name!r}; did you mean {' or '.join(near)}?")
            return None
        check_space(SPACE_OF_NUMPY)
        module = importlib.import_module(self.prefix + cmd_name.replace("-", "_"))
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines.items()))
