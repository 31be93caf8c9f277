"""`s2st preprocess`: parallel text to a store."""

from collections.abc import Mapping
from typing import Any

from s2st.jobs.preprocess import PREPROCESS_SPEC, preprocess
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand

HELP = """Turn parallel text into a store of ids that `s2st train` reads.

s2st reads PREFIX.LANG files (or .gz, .xz, .bz2), one sentence per line. --tsv - reads source TAB
target lines from standard input. If --srcdict or --tgtdict names a checkpoint or store, s2st also
takes its tokenizer.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    preprocess(options)


command = ConfiguredCommand("preprocess", PREPROCESS_SPEC, run, HELP)
