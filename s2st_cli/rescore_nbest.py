"""`s2st rescore-nbest`: SMT n-best lists to rescored 1-best text or sorted lists."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from s2st.jobs.options import RESCORE_SPEC
from s2st.jobs.rescore.job import rescore_nbest
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.progress_display import JobProgress

if TYPE_CHECKING:
    from s2st.jobs.rescore.explanation import Explanation

HELP = """Rescore the n-best lists in NBEST (a file, which may be compressed, or - for stdin).

The lists are those of Moses or of another program; s2st recognizes the format (--nbest-format).

s2st adds the log-probability under the checkpoints to each hypothesis as the feature S2ST0. With
--feature-per member, each checkpoint adds its own feature: S2ST0, S2ST1, and so on. In the new
total, the baseline's total has weight 0.5, and the new features share the other 0.5. --weight,
--weights and --tune set other weights. Line i of 1-best output belongs to line i of --source; a
sentence without hypotheses gets an empty line.

Several NBEST files are lists of several systems for the same source. s2st merges them: it joins
equal hypotheses and keeps each system's features and total apart (System0Total, System1LM0, ...).

Without --checkpoint, s2st uses the scores that an earlier run with --format nbest wrote into the
lists. This way you can try other weights, tune, and report without scoring again.

--tune REF learns weights on the development lists --dev-nbest and --dev-source (default: NBEST
itself), and reports their cross-validated gain. --oracle REF reports how much a better choice from
the lists could gain.
"""


def _write_explanation(path: str, explanation: "Explanation") -> None:
    from s2st.analysis.rescoring_explanation import write_explanation

    write_explanation(path, explanation)


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    rescore_nbest(
        options, list(extra["nbest"]), extra["source"], extra["output_file"], JobProgress(),
        _write_explanation,
    )  # fmt: skip


command = ConfiguredCommand(
    "rescore-nbest",
    RESCORE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["nbest"], nargs=-1, required=True),
        click.Option(
            ["--source"],
            required=True,
            metavar="FILE",
            help="source lines; list i belongs to line i, counted from 0",
        ),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="output file"),
    ],
)
