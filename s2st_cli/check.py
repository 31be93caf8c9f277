"""`s2st check`: findings about a corpus, n-best list, checkpoint or store."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.errors import DataError
from s2st.jobs.check.job import CHECK_SPEC, CheckConfig, check
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_json, show_lines

HELP = """Report what is odd in a corpus, n-best list, checkpoint or store; change nothing.

PATH is a prefix (with -s and -t), two parallel files, one text, an n-best list, or a folder. The
findings stand on standard output, worst first, with the numbers of lines: what would break a
command, then warnings, then remarks. The exit code is 65 if something would break a command, and
otherwise 0.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job and print its report."""
    config = options.config(CheckConfig)
    report = check(options, extra["paths"])
    if config.format == "json":
        show_json(report.record())
    else:
        show_lines(report.lines(config.line_numbers))
    if report.breaking:
        raise DataError(f"{report.breaking} of the findings would break a command")


command = ConfiguredCommand(
    "check",
    CHECK_SPEC,
    run,
    HELP,
    extra=[click.Argument(["paths"], nargs=-1, required=True, metavar="PATH...")],
)
