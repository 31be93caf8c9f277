"""`s2st generate`: lines of text to translations, line i for line i."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.generate import generate
from s2st.jobs.options import GENERATE_SPEC
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.progress_display import JobProgress

HELP = """Translate INPUT line by line. INPUT is a file, which may be compressed, or - for stdin.

Line i of the output translates line i of the input; an empty line stays empty. Several --checkpoint
options make an ensemble. A language model continues each line instead, including empty lines.
--format moses writes n-best lists, which `s2st rescore-nbest` reads. Scores are natural logarithms
of probabilities.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    generate(options, extra["input"], extra["output_file"], JobProgress())


command = ConfiguredCommand(
    "generate",
    GENERATE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["input"], default="-"),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="output file"),
    ],
)
