"""`s2st inspect`: describe a checkpoint, a store, an architecture or a preset."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.inspect import INSPECT_SPEC, inspect
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Describe PATH, which is a checkpoint, a store, or the TOML file of an ensemble.

s2st shows the options, vocabulary sizes, parameters of each part, and the training history. With
--verify, s2st instead reads every byte of a checkpoint or store and lists its files; at the first
damaged file it stops with exit code 65.

Without PATH, s2st shows the parameters of --arch for vocabularies of --nwordssrc and --nwordstgt
words, without allocating them.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(inspect(options, extra["path"]))


command = ConfiguredCommand(
    "inspect", INSPECT_SPEC, run, HELP, extra=[click.Argument(["path"], required=False)]
)
