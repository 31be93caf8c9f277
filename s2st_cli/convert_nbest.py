"""`s2st convert-nbest`: n-best lists of other programs to the format of Moses."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.convert_nbest import CONVERT_NBEST_SPEC, convert_nbest
from s2st.options.resolution import Resolved
from s2st.text.nbest_dialects import DIALECTS
from s2st_cli.click_options import ConfiguredCommand

FORMATS = "\n".join(f"{dialect.name}: {dialect.description}" for dialect in DIALECTS)
HELP = f"""Convert the n-best lists in NBEST files to the current format of Moses.

s2st recognizes the format by the first hypothesis. Files may be compressed; - is standard input.
Several files are parts of one list of lists. Lists of fairseq are sorted by their ids; for other
formats, ids must rise. `rescore-nbest` reads the same formats directly.

\b
{FORMATS}
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    convert_nbest(options, extra["nbest"], extra["output_file"])


command = ConfiguredCommand(
    "convert-nbest",
    CONVERT_NBEST_SPEC,
    run,
    HELP,
    [
        click.Argument(["nbest"], nargs=-1, required=True),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="output file"),
    ],
)
