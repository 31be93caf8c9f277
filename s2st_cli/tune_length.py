"""`s2st tune-length`: the length penalty with the best BLEU on a development set."""

from collections.abc import Mapping
from typing import Any

from s2st.jobs.options import TUNE_LENGTH_SPEC
from s2st.jobs.tune_length import tune_length
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = """Find the length penalty (--lenpen of generate) with the best BLEU on a development set.

s2st translates --source once, and prints BLEU against --ref and the length ratio for each
penalty from 0 to --max-lenpen. The translations of each penalty are exactly those of
`s2st generate --search beam` with it. Tune on other lines than those you report.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Calls the job."""
    show_lines(tune_length(options))


command = ConfiguredCommand("tune-length", TUNE_LENGTH_SPEC, run, HELP)
