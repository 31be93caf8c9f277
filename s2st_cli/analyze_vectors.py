"""`s2st analyze vectors`: the encoder's final state of each line, as numbers."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.analysis.analyze_vectors import analyze_vectors
from s2st.analysis.options import VECTORS_SPEC
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Print the sentence vector of each line of SOURCE (a file, or - for standard input).

The vector is the encoder's final state: all that a decoder without attention gets to know of the
source (the context vector). It holds the hidden states of all layers, the lowest first, and then,
for an LSTM, the cell states. For a Transformer it is the mean of the top states. The vectors of
several checkpoints are concatenated.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(analyze_vectors(options, extra["source"]))


command = ConfiguredCommand(
    "vectors", VECTORS_SPEC, run, HELP, extra=[click.Argument(["source"], default="-")]
)
