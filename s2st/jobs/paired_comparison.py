"""Paired bootstrap: several systems on one test set, compared with the first one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.errors import UsageError
from s2st.jobs.text_metrics import bleu_metric, check_lines, chrf_metric, ter_metric

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.significance import Result


@dataclass(frozen=True)
class PairedResult:
    """One system under one metric in a paired bootstrap test against the baseline.

    Attributes:
        system: name of the system.
        metric: sacreBLEU's name of the metric ("BLEU", "chrF2", "TER").
        score: on the whole test set, in percent, not rounded.
        mean: mean score over the resampled test sets.
        half_width: half the width of the 95% interval of the resampled scores.
        p_value: of the difference from the baseline; None for the baseline. It is sacreBLEU's
            value, but 1 if the scores are equal (see `_p_value`).
        signature: sacreBLEU's signature, with the number of samples and the seed.
        how: program and options that compute these numbers, in words.
    """

    system: str
    metric: str
    score: float
    mean: float
    half_width: float
    p_value: float | None
    signature: str
    how: str

    def figures(self) -> str:
        """Return score, interval and p-value as text."""
        p_value = "" if self.p_value is None else f"  p = {self.p_value:.4f}"
        return f"{self.score:.2f}  95% {self.mean:.2f} +- {self.half_width:.2f}{p_value}"


def compare_systems(
    systems: Sequence[tuple[str, Sequence[str]]],
    references: Sequence[Sequence[str]],
    samples: int = 1000,
    seed: int = 12345,
    tokenize: str = "13a",
    *,
    lowercase: bool = False,
    with_ter: bool = False,
) -> tuple[PairedResult, ...]:
    """Compare systems with the first one by paired bootstrap resampling (Koehn, 2004).

    Args:
        systems: name and lines of each system, the baseline first; at least two.
        references: one sequence of lines per reference set, each as long as every system.
        samples: number of resampled test sets, at least 1.
        seed: seed of the resampling, at least 1 (for sacreBLEU, 0 means "not seeded").
        tokenize: sacreBLEU's tokenizer for BLEU.
        lowercase: lowercase both sides for BLEU.
        with_ter: also compare under TER, which takes much longer than the rest.

    Returns:
        The results metric by metric (BLEU, chrF2, then TER), within each in the order of `systems`.

    Raises:
        DataError: if the line counts differ, or there is no line or no reference set.
        UsageError: if there are fewer than two systems, a name is given twice, `samples` or
            `seed` is below 1, or the tokenizer is unknown or cannot be loaded.
    """
    _check_comparison([name for name, _ in systems], samples, seed)
    for name, hypotheses in systems:
        check_lines(name, hypotheses, references)
    from sacrebleu.significance import PairedTest

    metrics: dict[str, Metric] = {"BLEU": bleu_metric(tokenize, lowercase), "CHRF": chrf_metric()}
    if with_ter:
        metrics["TER"] = ter_metric()
    with _sacrebleu_seed(seed):
        test = PairedTest(
            list(systems),
            metrics,
            references,
            test_type="bs",
            n_samples=samples,
        )
        signatures, columns = test()
    results: list[PairedResult] = []
    for metric, signature in signatures.items():
        names = [name for name, _ in systems]
        results += _paired_results(names, metric, signature.format(), columns[metric])
    return tuple(results)


def _paired_results(
    names: Sequence[str], metric: str, signature: str, column: "Sequence[Result | str]"
) -> Iterator[PairedResult]:
    """Yield the systems' results from a column of sacreBLEU's table."""
    from sacrebleu.significance import Result

    found = [result for result in column if isinstance(result, Result)]  # without the heading
    for name, result in zip(names, found, strict=True):
        assert result.mean is not None
        assert result.ci is not None
        yield PairedResult(
            system=name,
            metric=metric,
            score=float(result.score),
            mean=float(result.mean),
            half_width=float(result.ci),
            p_value=_p_value(result, baseline=found[0]),
            signature=signature,
            how=f"sacreBLEU, {signature}",
        )


def _p_value(result: "Result", baseline: "Result") -> float | None:
    """Return sacreBLEU's p-value, or 1 if the scores are equal.

    For two equal files sacreBLEU 2.6 gives 1 / (samples + 1), which looks significant. It counts
    the samples whose centered difference is strictly above the real one, which is none of them if
    both are 0.
    """
    if result.p_value is not None and result.score == baseline.score:
        return 1.0
    return result.p_value


def _check_comparison(names: Sequence[str], samples: int, seed: int) -> None:
    if len(names) < 2:
        raise UsageError("a comparison needs at least two systems")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UsageError(f"system {name} is given twice")
    if samples < 1:
        raise UsageError(f"the number of bootstrap samples must be at least 1, not {samples}")
    if seed < 1:
        raise UsageError(f"the seed of the bootstrap must be at least 1, not {seed}")


@contextmanager
def _sacrebleu_seed(seed: int) -> Iterator[None]:
    """Set the seed by the environment variable: sacreBLEU has no other way."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
