"""The criteria registry: configs, importable without torch. A builder takes (config)."""

from dataclasses import dataclass
from typing import Any

from s2st.config import option
from s2st.registry import Registry

CRITERIA: Registry[Any] = Registry("criterion")


@dataclass(frozen=True)
class CrossEntropyConfig:
    """The plain negative log-likelihood has no options."""


@dataclass(frozen=True)
class LabelSmoothingConfig:
    """Options of the smoothed criterion."""

    label_smoothing: float = option(
        0.1, "probability mass spread over the vocabulary", minimum=0, maximum=0.99
    )


_MODULE = "s2st.criteria.cross_entropy"
CRITERIA.register(
    "cross_entropy", CrossEntropyConfig, f"{_MODULE}:CrossEntropy", "-log p(target | source)"
)
CRITERIA.register(
    "label_smoothed_cross_entropy",
    LabelSmoothingConfig,
    f"{_MODULE}:LabelSmoothedCrossEntropy",
    "cross entropy against a distribution smoothed over the vocabulary",
)
