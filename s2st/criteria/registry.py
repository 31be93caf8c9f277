"""The criteria registry: configs, importable without torch. A builder takes (config)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.options.config import option
from s2st.options.registry import Registry

if TYPE_CHECKING:
    from s2st.criteria.cross_entropy import Criterion

CRITERIA: Registry["Criterion"] = Registry("criterion", "s2st.criteria.cross_entropy:Criterion")


@dataclass(frozen=True)
class CrossEntropyConfig:
    """The plain negative log-likelihood has no options."""


@dataclass(frozen=True)
class LabelSmoothingConfig:
    """Options of the smoothed criterion."""

    label_smoothing: float = option(
        0.1, "probability mass spread over the vocabulary", minimum=0, maximum=0.99
    )


@dataclass(frozen=True)
class ScheduledSamplingConfig:
    """Options of scheduled sampling."""

    teacher_forcing: float = option(
        0.75,
        "share of the decoder's inputs that are the reference's words in the end",
        minimum=0,
        maximum=1,
    )
    teacher_forcing_schedule: str = option(
        "linear",
        "how that share falls from 1",
        choices=("linear", "exponential", "inverse-sigmoid"),
    )
    teacher_forcing_updates: int = option(
        10000, "updates in which it falls", minimum=1, maximum=1_000_000_000_000
    )
    sampled_words: str = option(
        "argmax",
        "the model's own words: its likeliest, or drawn by its probabilities",
        choices=("argmax", "drawn"),
    )
    sampling_passes: int = option(
        1, "times that own words are chosen, each after the ones before", minimum=1, maximum=100
    )
    label_smoothing: float = option(
        0.0, "probability mass spread over the vocabulary", minimum=0, maximum=0.99
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
CRITERIA.register(
    "scheduled_sampling",
    ScheduledSamplingConfig,
    "s2st.criteria.scheduled_sampling:ScheduledSampling",
    "cross entropy where the decoder also reads words of its own",
)
