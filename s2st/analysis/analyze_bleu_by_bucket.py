"""The jobs of `s2st analyze lengths` and `s2st analyze rarity`: BLEU against a key of the source.

Importable without numpy, so that wrong options are reported at once.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from s2st.analysis.options import CurvesConfig, RarityConfig
from s2st.analysis.system_texts import Texts, read_texts
from s2st.errors import UsageError
from s2st.jobs.report_types import ReportLine
from s2st.text.line_files import split_words

if TYPE_CHECKING:
    from s2st.analysis.bleu_by_bucket import CurvePoint

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class _Axis:
    """The key of the source lines: `key` names it in the table, `label` in the figure."""

    key: str
    label: str
    logarithmic: bool = False


def analyze_lengths(config: CurvesConfig, hyps: Sequence[str], source: str) -> Iterator[ReportLine]:
    """BLEU of systems against the number of words of the source sentence.

    Args:
        config: references, windows, bootstrap and output.
        hyps: FILE or label=FILE of each system.
        source: path of the source lines.

    Yields:
        A table, or records where `config.format` is "json". The figure is drawn at the end.

    Raises:
        UsageError, InputMissingError, DataError: as `read_texts`, and for an unknown tokenizer.
        OutputError: the figure cannot be written.
    """
    texts = _read(config, hyps, source)
    lengths = [len(split_words(line)) for line in texts.source or ()]
    yield from _curves(config, texts, lengths, _Axis("words", "source words"))


def analyze_rarity(
    config: CurvesConfig, rarity: RarityConfig, hyps: Sequence[str], source: str
) -> Iterator[ReportLine]:
    """BLEU of systems against the mean frequency rank of the source sentence's words.

    Args:
        config, hyps, source: as of `analyze_lengths`.
        rarity: where the ranks come from.

    Yields:
        As `analyze_lengths`.

    Raises:
        UsageError: not exactly one source of ranks, and as `analyze_lengths`.
        InputMissingError, DataError, OutputError: as `analyze_lengths`.
    """
    given = [path for path in (rarity.vocabulary, rarity.train_source) if path is not None]
    if len(given) != 1:
        raise UsageError("give either --vocabulary PATH or --train-source FILE")
    if given == ["-"]:
        raise UsageError("--vocabulary and --train-source cannot read standard input; give a file")
    texts = _read(config, hyps, source)
    means = _mean_ranks(rarity, texts.source or [], source)
    axis = _Axis("rank", "mean frequency rank of source words", logarithmic=True)
    yield from _curves(config, texts, means, axis)


def _read(config: CurvesConfig, hyps: Sequence[str], source: str) -> Texts:
    """The texts; reports a missing matplotlib before the work."""
    if config.figure is not None:
        from s2st.analysis.figures import require_matplotlib

        require_matplotlib()
    return read_texts(hyps, config.ref, source)


def _mean_ranks(rarity: RarityConfig, lines: list[str], source: str) -> Sequence[float]:
    """The mean rank of each line; NaN, with a warning, for lines without words."""
    from s2st.analysis.frequency_ranks import ranks_of_text, ranks_of_vocabulary

    if rarity.train_source is not None:
        ranks = ranks_of_text(rarity.train_source)
    else:
        assert rarity.vocabulary is not None
        ranks = ranks_of_vocabulary(rarity.vocabulary)
    means = ranks.means(lines)
    empty = [number for number, mean in enumerate(means, start=1) if math.isnan(mean)]
    if empty:
        log.warning(
            "%s: %d lines have no words and are left out; the first is line %d",
            "standard input" if source == "-" else source, len(empty), empty[0],
        )  # fmt: skip
    return means


def _curves(
    config: CurvesConfig, texts: Texts, keys: Sequence[float], axis: _Axis
) -> Iterator[ReportLine]:
    """The points as a table or records; then draws the figure."""
    from s2st.analysis.bleu_by_bucket import bucket_curves, curve_series
    from s2st.analysis.bleu_measure import Measure

    measure = Measure(config.tokenize)
    signature = measure.signature(len(texts.references))
    points = bucket_curves(
        texts.systems, texts.references, keys, buckets=config.buckets, samples=config.samples,
        seed=config.seed, tokenize=config.tokenize,
    )  # fmt: skip
    log.info("%s", signature)
    if config.format == "json":
        for point in points:
            yield {**asdict(point), "metric": signature}
    else:
        yield from _table(points, axis.key)
    if config.figure is not None:
        from s2st.analysis.figures import draw_curves

        files = draw_curves(
            config.figure, curve_series(points), x_label=axis.label, y_label=measure.name,
            title=config.title, log_x=axis.logarithmic,
        )  # fmt: skip
        log.info("wrote %s and %s", *files)


def _table(points: Sequence["CurvePoint"], key: str) -> Iterator[str]:
    """A line of column names, then one line for each point, separated by tabs."""
    names = [f"{key} low", f"{key} mean", f"{key} high", "BLEU", "BLEU low", "BLEU high"]
    yield "\t".join(["system", "sentences", *names])
    for point in points:
        keys = (_number(key) for key in (point.key_low, point.key_mean, point.key_high))
        scores = (point.bleu, point.bleu_low, point.bleu_high)
        fields = [point.system, str(point.sentences), *keys, *(f"{s:.2f}" for s in scores)]
        yield "\t".join(fields)


def _number(key: float) -> str:
    return str(int(key)) if key == int(key) else f"{key:.2f}"
