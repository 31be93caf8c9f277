"""Help texts and parameters that `analyze lengths` and `analyze rarity` share."""

import click

from s2st.analysis.system_texts import HYP_HELP

CURVES_HELP = (
    "s2st sorts the sentences by {key} and takes --buckets N windows, each with 2/(N+1) of the "
    "sentences; a window shares half of its sentences with the next one. Each point of the curve "
    "is the corpus BLEU of a window at the window's mean {key}, with a 95 % bootstrap interval "
    "over the sentences. All systems use the same resamples.\n\n" + HYP_HELP
)


def curve_parameters() -> list[click.Parameter]:
    """The hypotheses and the source."""
    return [
        click.Argument(["hyp"], nargs=-1, required=True),
        click.Option(["--source"], metavar="FILE", required=True, help="source lines"),
    ]
