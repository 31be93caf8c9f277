"""`s2st list`: the registered components, one line each."""

import click

from s2st.jobs.list_components import KINDS, list_components
from s2st_cli.click_options import Command
from s2st_cli.terminal_output import show_lines

HELP = f"""List the registered components of all kinds, or of one KIND.

KIND is {", ".join(KINDS[:-1])} or {KINDS[-1]}. The option that chooses a component (arch,
criterion, lr-scheduler, ...) also names a kind.
"""


@click.command(cls=Command, help=HELP)
@click.argument("kind", required=False)
@click.option("--options", "with_options", is_flag=True, help="list the options of each component")
@click.option(
    "--plugin", multiple=True, metavar="MODULE", help="import a plugin module first; repeatable"
)
def command(kind: str | None, with_options: bool, plugin: tuple[str, ...]) -> None:
    """Show the lines of the job."""
    show_lines(list_components(kind, with_options, plugin))
