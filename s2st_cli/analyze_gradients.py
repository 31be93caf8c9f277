"""`s2st analyze gradients`: gradients from target words to source words."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.analysis.analyze_gradients import analyze_gradients
from s2st.analysis.options import GRADIENTS_SPEC
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Show how strongly each source word influences each target word.

s2st computes the gradient of each target word's log-probability with respect to the embedding of
each source word, and averages its norm over the sentences: by the number of steps between reading
the source word and predicting the target word, and by the positions of both words. Small norms at
large lags are the vanishing gradient. Compare a forward with a reversed model, or an RNN with an
LSTM. MODEL is CHECKPOINT or label=CHECKPOINT. The default label is the name of the save folder.

With alignments, s2st also shows the gradients between corresponding words, and the time lags of
section 3.3 of Sutskever, Vinyals and Le (2014): the mean over the sentences of the smallest lag
between two corresponding words, and of the mean lag, if the source is read forward or reversed.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    files = extra["source"], extra["target"]
    show_lines(analyze_gradients(options, extra["models"], *files))


command = ConfiguredCommand(
    "gradients",
    GRADIENTS_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["models"], metavar="MODEL...", nargs=-1, required=True),
        click.Option(["--source"], required=True, metavar="FILE", help="source lines"),
        click.Option(["--target"], required=True, metavar="FILE", help="target lines"),
    ],
)
