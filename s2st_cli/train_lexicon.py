"""`s2st train-lexicon`: the training pairs of a store to word translations."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.train_lexicon import LEXICON_SPEC, train_lexicon
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand

HELP = """Learn word translations from the training pairs of the store DATA (IBM model 1, by EM).

The output has lines `source TAB target TAB probability`, the best translation of each word first.
`generate --shortlist` reads this file.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    train_lexicon(options, extra["data"], extra["output_file"])


command = ConfiguredCommand(
    "train-lexicon",
    LEXICON_SPEC,
    run,
    HELP,
    [
        click.Argument(["data"]),
        click.Option(
            ["-o", "--output-file"],
            required=True,
            metavar="FILE",
            help="the lexicon to write; a name that ends in .gz compresses it",
        ),
    ],
)
