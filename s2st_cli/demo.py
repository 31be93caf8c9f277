"""`s2st demo`: all steps on a small corpus, with the commands that a user types."""

from collections.abc import Mapping
from typing import Any

from s2st.jobs.demo import DEMO_SPEC, run_demo
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import narrate, show_lines

HELP = """Train, translate and rescore on a small English-French corpus that ships with s2st.

The demo runs preprocess, train, generate, score and rescore-nbest, and prints every command before
it runs. It takes a few minutes on two CPU cores.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(run_demo(options, narrate))


command = ConfiguredCommand("demo", DEMO_SPEC, run, HELP)
