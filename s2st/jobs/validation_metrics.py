"""Metrics that can decide which checkpoint is best, and their registry.

BLEU and chrF are those of `s2st score`, by sacreBLEU, which is imported on use.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from s2st.options.option_fields import option
from s2st.options.registry import Registry
from s2st.training.validation import PERPLEXITY


class ValidationMetric(ABC):
    """A function of translations and references, over the whole validation split.

    Attributes:
        larger_is_better: direction of the metric.
    """

    larger_is_better = True

    @abstractmethod
    def __call__(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """Return the value for detokenized lines; both sequences have the same length."""


METRICS: Registry[ValidationMetric] = Registry(
    "metric", "s2st.jobs.validation_metrics:ValidationMetric"
)


@dataclass(frozen=True)
class PerplexityConfig:
    """Options of `perplexity`: none."""


@dataclass(frozen=True)
class BleuConfig:
    """Options of `bleu`, as in `s2st score`."""

    bleu_tokenize: str = option(
        "13a", "sacreBLEU tokenizer for the BLEU of validation, as `s2st score --tokenize`"
    )
    bleu_lowercase: bool = option(False, "lowercase both sides for the BLEU of validation")


@dataclass(frozen=True)
class ChrfConfig:
    """Options of `chrf`: none."""


class Perplexity(ValidationMetric):
    """The perplexity per target token, which needs no translations: training computes it."""

    larger_is_better = False

    def __init__(self, config: PerplexityConfig) -> None:
        self.config = config

    def __call__(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """Raise NotImplementedError."""
        raise NotImplementedError("perplexity is no function of translations")


class Bleu(ValidationMetric):
    """SacreBLEU's BLEU in percent.

    Raises:
        UsageError: the tokenizer is unknown or cannot be loaded.
    """

    def __init__(self, config: BleuConfig) -> None:
        from s2st.jobs.text_metrics import bleu_metric

        self._metric = bleu_metric(config.bleu_tokenize, config.bleu_lowercase)

    def __call__(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """Return the corpus score."""
        return float(self._metric.corpus_score(hypotheses, [references]).score)


class Chrf(ValidationMetric):
    """SacreBLEU's chrF2 in percent."""

    def __init__(self, config: ChrfConfig) -> None:
        from s2st.jobs.text_metrics import chrf_metric

        self._metric = chrf_metric()

    def __call__(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """Return the corpus score."""
        return float(self._metric.corpus_score(hypotheses, [references]).score)


METRICS.register(
    PERPLEXITY, PerplexityConfig, Perplexity, "perplexity per target token; needs no translation"
)
METRICS.register("bleu", BleuConfig, Bleu, "sacreBLEU's BLEU of the translations")
METRICS.register("chrf", ChrfConfig, Chrf, "sacreBLEU's chrF2 of the translations")
