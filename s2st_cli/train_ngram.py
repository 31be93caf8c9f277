"""`s2st train-ngram`: text to an n-gram language model."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.train_ngram import NGRAM_SPEC, train_ngram
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand

HELP = """Train an n-gram language model on TEXT files, one sentence per line.

The files may be compressed; - is standard input. s2st estimates an interpolated model with modified
Kneser-Ney smoothing, like KenLM's lmplz, and writes it as an ARPA file. `score`, `generate` and
`rescore-nbest` take that file as --checkpoint.

--smoothing none and add-k give the models of textbooks: p(w | h) = (count(h w) + k) /
(count(h) + k V), where h is the --order - 1 words before w, and V the number of words.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    train_ngram(options, extra["text"], extra["output_file"])


command = ConfiguredCommand(
    "train-ngram",
    NGRAM_SPEC,
    run,
    HELP,
    [
        click.Argument(["text"], nargs=-1, required=True),
        click.Option(
            ["-o", "--output-file"],
            required=True,
            metavar="FILE",
            help="the .arpa or .arpa.gz file to write",
        ),
    ],
)
