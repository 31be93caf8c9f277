"""`s2st rescore-nbest`: SMT n-best lists to rescored 1-best text or re-sorted lists."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.options import RESCORE_SPEC
from s2st.jobs.rescore.job import rescore_nbest
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.progress_display import JobProgress

HELP = """Rescore the Moses n-best lists in NBEST (a file, .gz, or - for standard input).

Each hypothesis gets the log-probability of the checkpoints (together, or with --feature-per
member each its own) as a feature S2ST0, S2ST1, ...; its new total is the even average of the
baseline's total and the new features, or as --weight, --weights or --tune say. Line i of 1-best
output belongs to line i of --source; a sentence without hypotheses gets an empty line.

Without --checkpoint, the scores that an earlier run left in the lists (--output nbest) are used:
other weights, tuning and reports without scoring again.

--tune REF learns weights on development lists (--dev-nbest and --dev-source; NBEST itself where
they are left out) and says what they gain on lists that they were not learned on. --oracle REF
reports how much better a choice from the lists could be.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Calls the job."""
    rescore_nbest(options, extra["nbest"], extra["source"], extra["output_file"], JobProgress())


command = ConfiguredCommand(
    "rescore-nbest",
    RESCORE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["nbest"]),
        click.Option(
            ["--source"], required=True, metavar="FILE", help="source lines; id i is line i from 0"
        ),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="where to write"),
    ],
)
