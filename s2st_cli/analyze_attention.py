"""`s2st analyze attention`: the attention map of one sentence."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.analysis.analyze_attention import analyze_attention
from s2st.analysis.options import ATTENTION_SPEC
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Show how much each word attends to each other word.

The map is like figure 3 of Bahdanau, Cho and Bengio (2015). It shows line --line of --source
with the same line of --target. Without --target, s2st translates the source and shows the best
translation. The attention of several checkpoints is the mean over the ensemble.

The map shows the highest layer and the mean over its heads; --layer and --head choose others, or
all of them. --part encoder and --part decoder show self-attention: each source word to all source
words, and each step that predicts a target word to <s> and the words before. A language model has
the latter only; --target is its text.

The output is a tab-separated table: first the words that are read, then one line for each word that
reads them with its weights, which sum to 1. </s> stands for the end of a sentence.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(analyze_attention(options, extra["source"]))


command = ConfiguredCommand(
    "attention",
    ATTENTION_SPEC,
    run,
    HELP,
    extra=[
        click.Option(
            ["--source"], metavar="FILE",
            help="source lines; - for standard input; not for a language model",
        ),
    ],
)  # fmt: skip
