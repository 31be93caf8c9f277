"""`s2st analyze rarity`: BLEU of systems against how rare the source sentence's words are."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click

from s2st.errors import UsageError
from s2st.options.resolution import CommandSpec, Resolved
from s2st_cli.analyze_curves import CURVE_OPTIONS, WINDOWS_HELP, show_curves
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.system_arguments import HYP_HELP

_logger = logging.getLogger("s2st")
HELP = f"""BLEU of each HYP against the mean frequency rank of the source sentence's words.

The most frequent word has rank 1, unknown ones the rank after the last. Ranks come from
--vocabulary: a dict file (`token count` lines), or a store or checkpoint, whose source dictionary
and tokeniser are taken; or from the words of --train-source, split at white space.

{WINDOWS_HELP.format(key="rank")}

{HYP_HELP}
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints the curves."""
    given = [path for path in (extra["vocabulary"], extra["train_source"]) if path is not None]
    if len(given) != 1:
        raise UsageError("give either --vocabulary PATH or --train-source FILE")
    if given == ["-"]:
        raise UsageError("the words to rank cannot come from standard input (-); give a file")

    def mean_ranks(lines: list[str]) -> Sequence[float]:
        from s2st.analysis.frequency_ranks import ranks_of_text, ranks_of_vocabulary

        if extra["vocabulary"] is None:
            ranks = ranks_of_text(extra["train_source"])
        else:
            ranks = ranks_of_vocabulary(extra["vocabulary"])
        means = ranks.means(lines)
        empty = [number for number, mean in enumerate(means, start=1) if math.isnan(mean)]
        if empty:
            _logger.warning(
                "%s: %d lines have no words and are left out, the first is line %d",
                "standard input" if extra["source"] == "-" else extra["source"],
                len(empty), empty[0],
            )  # fmt: skip
        return means

    show_curves(extra, mean_ranks, "rank", "mean frequency rank of source words", log_x=True)


command = ConfiguredCommand(
    "rarity",
    CommandSpec(fixed=()),
    run,
    HELP,
    extra=[
        *CURVE_OPTIONS,
        click.Option(
            ["--vocabulary"], metavar="PATH", help="dict file, store or checkpoint with the ranks"
        ),
        click.Option(["--train-source"], metavar="FILE", help="text whose words are counted"),
    ],
)
