"""The registry of criteria: configs, importable without torch. A builder takes (config)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.options.option_fields import option
from s2st.options.registry import Registry

if TYPE_CHECKING:
    from s2st.criteria.cross_entropy import Criterion

CRITERIA: Registry["Criterion"] = Registry("criterion", "s2st.criteria.cross_entropy:Criterion")


@dataclass(frozen=True)
class CrossEntropyConfig:
    """Plain cross entropy has no options."""


@dataclass(frozen=True)
class LabelSmoothingConfig:
    """Options of label-smoothed cross entropy."""

    label_smoothing: float = option(
        0.1, "probability mass spread over the vocabulary", minimum=0, maximum=0.99
    )


@dataclass(frozen=True)
class ScheduledSamplingConfig:
    """Options of scheduled sampling."""

    teacher_forcing: float = option(
        0.75,
        "final share of decoder inputs that are words of the reference",
        minimum=0,
        maximum=1,
    )
    teacher_forcing_schedule: str = option(
        "linear",
        "how the share falls from 1 to --teacher-forcing",
        choices=("linear", "exponential", "inverse-sigmoid"),
    )
    teacher_forcing_updates: int = option(
        10000,
        "number of updates during which the share falls",
        minimum=1,
        maximum=1_000_000_000_000,
    )
    sampled_words: str = option(
        "argmax",
        "choice of the model's words: the most probable, or drawn from the distribution",
        choices=("argmax", "drawn"),
    )
    sampling_passes: int = option(
        1,
        "number of passes that choose the model's words, each given the words of the pass before",
        minimum=1,
        maximum=100,
    )
    label_smoothing: float = option(
        0.0, "probability mass spread over the vocabulary", minimum=0, maximum=0.99
    )


@dataclass(frozen=True)
class GuidedAlignmentConfig:
    """Options of guided alignment."""

    alignment_lexicon: str | None = option(
        None,
        "file of word translations (from `s2st train-lexicon`, Moses or fast_align) that says "
        "which source words attention should weight",
        content=True,
    )
    alignment_weight: float = option(
        0.1, "weight of the alignment loss beside the cross entropy", minimum=0, maximum=1000
    )
    label_smoothing: float = option(
        0.0, "probability mass spread over the vocabulary", minimum=0, maximum=0.99
    )


_MODULE = "s2st.criteria.cross_entropy"
CRITERIA.register(
    "cross-entropy", CrossEntropyConfig, f"{_MODULE}:CrossEntropy", "-log p(target | source)"
)
CRITERIA.register(
    "label-smoothed-cross-entropy",
    LabelSmoothingConfig,
    f"{_MODULE}:LabelSmoothedCrossEntropy",
    "cross entropy against a distribution smoothed over the vocabulary",
)
CRITERIA.register(
    "scheduled-sampling",
    ScheduledSamplingConfig,
    "s2st.criteria.scheduled_sampling:ScheduledSampling",
    "cross entropy while the decoder also reads words that the model predicted",
)
CRITERIA.register(
    "guided-alignment",
    GuidedAlignmentConfig,
    "s2st.criteria.guided_alignment:GuidedAlignment",
    "cross entropy while attention also learns the word alignment of a lexicon",
)
