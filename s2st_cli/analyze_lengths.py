"""`s2st analyze lengths`: BLEU of systems against the length of the source sentence."""

from collections.abc import Mapping
from typing import Any

from s2st.analysis.analyze_bleu_by_bucket import analyze_lengths
from s2st.analysis.options import LENGTHS_SPEC, CurvesConfig
from s2st.options.resolution import Resolved
from s2st_cli.bleu_by_bucket_options import CURVES_HELP, curve_parameters
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = f"""Show BLEU of each HYP against the number of words of the source sentence.

{CURVES_HELP.format(key="length")}
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(analyze_lengths(options.config(CurvesConfig), extra["hyp"], extra["source"]))


command = ConfiguredCommand("lengths", LENGTHS_SPEC, run, HELP, extra=curve_parameters())
