"""`s2st analyze rarity`: BLEU of systems against how rare the source sentence's words are."""

from collections.abc import Mapping
from typing import Any

from s2st.analysis.analyze_bleu_by_bucket import analyze_rarity
from s2st.analysis.options import RARITY_SPEC, CurvesConfig, RarityConfig
from s2st.options.resolution import Resolved
from s2st_cli.bleu_by_bucket_options import CURVES_HELP, curve_parameters
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import show_lines

HELP = f"""Show BLEU of each HYP against the mean frequency rank of the source sentence's words.

The most frequent word has rank 1; unknown words have the rank after the last. The ranks come from
--vocabulary or from --train-source. --vocabulary names a dict file (`token count` lines), or a
store or checkpoint, whose source dictionary and tokenizer s2st uses. --train-source names a text
whose words, split at white space, s2st counts.

{CURVES_HELP.format(key="rank")}
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    curves, rarity = options.config(CurvesConfig), options.config(RarityConfig)
    show_lines(analyze_rarity(curves, rarity, extra["hyp"], extra["source"]))


command = ConfiguredCommand("rarity", RARITY_SPEC, run, HELP, extra=curve_parameters())
