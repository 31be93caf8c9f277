"""BLEU by sentence length or word rarity: corpus BLEU of overlapping windows of sorted sentences.

Sentences are sorted by a key. Windows overlap, which makes the curve smooth and leaves out no
sentence. Each window has its corpus BLEU with a bootstrap interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.analysis.bleu_measure import Measure
from s2st.analysis.figures import Series
from s2st.errors import DataError, UsageError
from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.oracle import resamples

PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class CurvePoint:
    """One system in one window.

    Attributes:
        system: name of the system.
        sentences: number of sentences in the window.
        key_low, key_mean, key_high: lowest, mean and highest key.
        bleu: corpus BLEU of the sentences, in percent.
        bleu_low, bleu_high: its 95 % bootstrap interval.
    """

    system: str
    sentences: int
    key_low: float
    key_mean: float
    key_high: float
    bleu: float
    bleu_low: float
    bleu_high: float


def windows(sentences: int, buckets: int) -> list[tuple[int, int]]:
    """Return start and end of overlapping windows of nearly equal width over sorted sentences.

    The sentences are cut into `buckets` + 1 nearly equal parts. A window is two neighboring parts,
    so it shares half its sentences with the next one. With one bucket, the window is everything.

    Raises:
        UsageError: `buckets` is 0, or above the number of sentences.
    """
    if not 1 <= buckets <= sentences:
        raise UsageError(
            f"{buckets} buckets over {sentences} sentences: give 1 to {sentences}"
            if sentences
            else "no sentences to put into buckets"
        )
    parts = buckets + 1
    cuts = [(2 * sentences * i + parts) // (2 * parts) for i in range(parts + 1)]
    return [(cuts[i], cuts[i + 2]) for i in range(buckets)]


def bucket_curves(
    systems: Sequence[tuple[str, Sequence[str]]],
    references: Sequence[Sequence[str]],
    keys: Sequence[float],
    *,
    buckets: int = 10,
    samples: int = 1000,
    seed: int = 12345,
    tokenize: str | None = None,
) -> tuple[CurvePoint, ...]:
    """Compute the BLEU of each system in each window of the sentences sorted by key.

    Args:
        systems: name and lines of each system.
        references: one sequence of lines per reference set.
        keys: one key per sentence. Equal keys keep their order; sentences with NaN are left out.
        buckets: number of windows, see `windows`.
        samples: number of resamplings of a window; all systems share them.
        seed: seed of the resampling.
        tokenize: sacreBLEU's tokenizer; None is the tokenized BLEU of multi-bleu.perl.

    Returns:
        The points, system by system, by rising key.

    Raises:
        DataError: numbers of lines differ, or there are no sentences.
        UsageError: too many buckets, an unknown tokenizer, or no samples.
    """
    if samples < 1:
        raise UsageError(f"the number of bootstrap samples must be at least 1, not {samples}")
    _check_lines(systems, references, len(keys))
    values = np.array(keys, dtype=np.float64)
    order = np.argsort(values, kind="stable")  # NaN come last
    order = order[: int((~np.isnan(values)).sum())]
    cuts = windows(len(order), buckets)
    measure = Measure(tokenize)
    rows = measure.statistics([lines for _, lines in systems], references)
    draws = [resamples(end - start, samples, seed + i) for i, (start, end) in enumerate(cuts)]
    points = []
    for (name, _), statistics in zip(systems, rows, strict=True):
        for (start, end), drawn in zip(cuts, draws, strict=True):
            chosen = order[start:end]
            points.append(_point(name, values[chosen], statistics[chosen], drawn, measure))
    return tuple(points)


def _check_lines(
    systems: Sequence[tuple[str, Sequence[str]]], references: Sequence[Sequence[str]], keys: int
) -> None:
    if not references:
        raise DataError("no reference: give at least one")
    for name, lines in [
        *systems,
        *((f"reference {i}", lines) for i, lines in enumerate(references, start=1)),
    ]:
        if len(lines) != keys:
            raise DataError(f"{name} has {len(lines)} lines but there are {keys} source lines")


def _point(
    name: str,
    keys: npt.NDArray[np.float64],
    rows: Statistics,
    draws: npt.NDArray[np.int64],
    measure: Measure,
) -> CurvePoint:
    scores: Floats = measure.corpus(draws @ rows)
    low, high = np.percentile(scores, PERCENTILES)
    return CurvePoint(
        name, len(keys), float(keys[0]), float(keys.mean()), float(keys[-1]),
        float(measure.corpus(rows.sum(axis=0))), float(low), float(high),
    )  # fmt: skip


def curve_series(points: Sequence[CurvePoint]) -> list[Series]:
    """Return the points of `bucket_curves` as the series of `figures.draw_curves`."""
    names = list(dict.fromkeys(point.system for point in points))
    series = []
    for name in names:
        curve = [point for point in points if point.system == name]
        series.append(
            Series(
                name,
                [point.key_mean for point in curve],
                [point.bleu for point in curve],
                [point.bleu_low for point in curve],
                [point.bleu_high for point in curve],
            )
        )
    return series
