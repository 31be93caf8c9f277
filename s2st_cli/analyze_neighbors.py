"""`s2st analyze neighbors`: the words with the most similar embeddings."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.analysis.analyze_neighbors import analyze_neighbors
from s2st.analysis.options import NEIGHBORS_SPEC, NeighborsConfig
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Show the nearest neighbors of each WORD by the cosine similarity of their vectors.

The vectors are the embeddings of --checkpoint, or those of --vectors, a text file in the format of
word2vec, GloVe or fastText. s2st reads the whole file into memory.

Each line of output holds the word, a neighbor and their similarity, nearest neighbor first.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(analyze_neighbors(options.config(NeighborsConfig), extra["words"]))


command = ConfiguredCommand(
    "neighbors",
    NEIGHBORS_SPEC,
    run,
    HELP,
    extra=[click.Argument(["words"], metavar="WORD...", nargs=-1, required=True)],
)
