"""`s2st score`: scores of hypotheses, log-probabilities of pairs, or next words under a model."""

from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.evaluate_hypotheses import score_texts, scores_texts
from s2st.jobs.next_words import next_word_tables
from s2st.jobs.options import SCORE_SPEC, ScoreConfig
from s2st.jobs.score import score_pairs
from s2st.options.resolution import Resolved
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.progress_display import JobProgress
from s2st_cli.terminal_output import say, show_lines

HELP = """Score hypothesis files (HYP) against --ref, or sentence pairs under a model.

With --ref, s2st prints sacreBLEU's BLEU, the tokenized BLEU of multi-bleu.perl (the figure of the
2014 LSTM paper), chrF and, with --ter, TER. Each line says how its score was computed. sacreBLEU
tokenizes both sides with --tokenize; multi-bleu.perl splits them at white space. Several HYP files
are compared with the first one by paired bootstrap. Without HYP, s2st reads standard input.

With --checkpoint, --source and --target, s2st writes log p(target | source) of each pair (natural
log), and prints the perplexity per token, EOS included, on stderr. A language model needs no
--source.

With --checkpoint and --next TEXT, s2st prints the most probable next words after the text:
probability, log-probability and word, with tabs between.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job of the chosen use."""
    output = extra["output_file"]
    if options.config(ScoreConfig).next is not None:
        show_lines(next_word_tables(options, extra["hyp"], output))
        return
    if scores_texts(options, extra["hyp"], output):
        show_lines(score_texts(options.config(ScoreConfig), extra["hyp"]))
        return
    totals = score_pairs(options, output, JobProgress())
    if totals is not None:
        say(totals.summary())


command = ConfiguredCommand(
    "score",
    SCORE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["hyp"], nargs=-1),
        click.Option(
            ["-o", "--output-file"], default="-", metavar="FILE",
            help="output file for the log-probabilities",
        ),
    ],
)  # fmt: skip
