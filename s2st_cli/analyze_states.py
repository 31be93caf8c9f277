"""`s2st analyze states`: the encoder's final states of phrases, in two dimensions."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.analysis.analyze_states import analyze_states
from s2st.analysis.options import STATES_SPEC
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Show the final encoder states of PHRASES in two dimensions (PCA).

The plot is like figure 2 of Sutskever, Vinyals and Le (2014). PHRASES is a file, or - for
standard input. Each line is `phrase`, `meaning TAB phrase` or `panel TAB meaning TAB phrase`. s2st
analyzes each panel separately. The states of several checkpoints are concatenated.

Each line of output repeats the input and adds x and y, separated by tabs. On stderr, s2st prints
the share of the variance that the two components hold. If the input gives meanings, s2st also
prints mean cosine distances: between phrases with the same meaning and between phrases with
different meanings. It breaks each of them down into pairs with the same words in another order and
pairs with other words. Finally, it prints how often the nearest neighbor of a phrase has the same
meaning.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(analyze_states(options, extra["phrases"]))


command = ConfiguredCommand(
    "states", STATES_SPEC, run, HELP, extra=[click.Argument(["phrases"], default="-")]
)
