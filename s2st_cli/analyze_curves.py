"""What `analyze lengths` and `analyze rarity` share: their options, the table and the figure."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from s2st_cli.click_options import Number, NumberOption
from s2st_cli.system_arguments import read_texts
from s2st_cli.terminal_output import show, show_json

if TYPE_CHECKING:
    from s2st.analysis.bleu_by_bucket import CurvePoint

_logger = logging.getLogger("s2st")
MOST_SEED = (1 << 32) - 1  # what numpy's older generators take, which sacreBLEU uses
WINDOWS_HELP = (
    "The sentences are sorted and looked at through --buckets N windows, each of 2/(N+1) of them "
    "and sharing half with the next; a point is a window's corpus BLEU at its mean {key}, with a "
    "95 % bootstrap interval over its sentences (the same resamples for all systems)."
)
CURVE_OPTIONS: list[click.Parameter] = [
    click.Argument(["hyp"], nargs=-1, required=True),
    click.Option(["--ref", "-r"], multiple=True, metavar="FILE", help="reference; repeatable"),
    click.Option(["--source"], metavar="FILE", required=True, help="source lines"),
    NumberOption(["--buckets"], type=Number(int, 1, 1_000_000), default=10, help="windows"),
    click.Option(
        ["--tokenize"], metavar="NAME",
        help="sacreBLEU's BLEU with this tokeniser  [default: multi-bleu.perl's tokenised BLEU]",
    ),
    NumberOption(
        ["--samples"], type=Number(int, 1, 1_000_000), default=1000,
        help="bootstrap resamplings",
    ),
    NumberOption(
        ["--seed"], type=Number(int, 0, MOST_SEED), default=12345,
        help="of the resampling",
    ),
    click.Option(["--figure"], metavar="NAME", help="draw NAME.svg and NAME.png"),
    click.Option(["--title"], default="", metavar="TEXT", help="of the figure"),
    click.Option(["--json"], is_flag=True, help="JSON lines"),
]  # fmt: skip


def show_curves(
    extra: Mapping[str, Any],
    keys_of: Callable[[list[str]], Sequence[float]],
    key: str,
    x_label: str,
    log_x: bool = False,
) -> None:
    """Reads the texts, prints the points to stdout and draws the figure if one is asked for.

    Args:
        extra: the values of CURVE_OPTIONS.
        keys_of: the keys of the source lines; NaN leaves a line out.
        key: what a key is, in a word, for the table.
        x_label: the same in full, for the figure.
        log_x: draw them on a logarithmic scale.
    """
    if extra["figure"] is not None:
        from s2st.analysis.figures import require_matplotlib

        require_matplotlib()
    texts = read_texts(extra["hyp"], extra["ref"], extra["source"])
    assert texts.source is not None
    from s2st.analysis.bleu_by_bucket import bucket_curves, curve_series
    from s2st.analysis.sentence_bleu import Measure

    measure = Measure(extra["tokenize"])
    signature = measure.signature(len(texts.references))
    keys = keys_of(texts.source)
    points = bucket_curves(
        texts.systems, texts.references, keys, buckets=extra["buckets"],
        samples=extra["samples"], seed=extra["seed"], tokenize=extra["tokenize"],
    )  # fmt: skip
    _logger.info("%s", signature)
    if extra["json"]:
        for point in points:
            show_json({**asdict(point), "metric": signature})
    else:
        _print_table(points, key)
    if extra["figure"] is not None:
        from s2st.analysis.figures import draw_curves

        files = draw_curves(
            extra["figure"], curve_series(points), x_label=x_label, y_label=measure.name,
            title=extra["title"], log_x=log_x,
        )  # fmt: skip
        _logger.info("wrote %s and %s", *files)


def _print_table(points: Sequence["CurvePoint"], key: str) -> None:
    """One row a point under one line of names, tabs between."""
    names = [f"{key} low", f"{key} mean", f"{key} high", "BLEU", "BLEU low", "BLEU high"]
    show("system", "sentences", *names)
    for point in points:
        keys = (_number(key) for key in (point.key_low, point.key_mean, point.key_high))
        scores = (point.bleu, point.bleu_low, point.bleu_high)
        show(point.system, point.sentences, *keys, *(f"{score:.2f}" for score in scores))


def _number(key: float) -> str:
    return str(int(key)) if key == int(key) else f"{key:.2f}"
