"""The registry of tuners and their options, importable without numpy.

A builder takes (config) and returns a callable (lists, start weights, metric) -> TunedWeights, see
`tuning_lists.py`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.options.option_fields import MAX_INTEGER, option
from s2st.options.registry import Registry

if TYPE_CHECKING:
    from s2st.rescoring.tuning_lists import Tuner

TUNERS: Registry["Tuner"] = Registry("tuner", "collections.abc:Callable")


@dataclass(frozen=True)
class LineSearchConfig:
    """Options of `line-search`."""

    restarts: int = option(
        3,
        "random starting points besides the initial weights; the time of tuning is proportional to "
        "1 + this number, and --folds N tunes N + 1 times",
        minimum=0,
        maximum=10_000,
    )
    directions: int = option(
        4, "random directions to search besides the coordinates", minimum=0, maximum=10_000
    )
    regularize: float = option(
        0.0,
        "penalty for the distance from the initial weights, in points of the metric; 0 for none",
        minimum=0,
        maximum=1000,
    )
    tuning_seed: int = option(
        1, "seed of starting points and directions", minimum=0, maximum=MAX_INTEGER
    )


@dataclass(frozen=True)
class MiraConfig:
    """Options of `mira`."""

    mira_c: float = option(0.01, "maximum step size of an update", minimum=0, maximum=1000)
    mira_epochs: int = option(30, "passes over the lists", minimum=1, maximum=100_000)
    mira_decay: float = option(0.999, "decay of the background statistics", minimum=0, maximum=1)
    tuning_seed: int = option(1, "seed of the order of the lists", minimum=0, maximum=MAX_INTEGER)


@dataclass(frozen=True)
class ProConfig:
    """Options of `pro`."""

    pro_candidates: int = option(
        5000, "random pairs of hypotheses for each list", minimum=1, maximum=1_000_000
    )
    pro_pairs: int = option(
        50, "pairs to keep, those with the largest differences", minimum=1, maximum=1_000_000
    )
    pro_threshold: float = option(
        5.0,
        "smallest difference in the sentence metric of a pair, in percent",
        minimum=0,
        maximum=100,
    )
    pro_l2: float = option(1e-4, "L2 penalty of the weights", minimum=1e-12, maximum=1000)
    tuning_seed: int = option(1, "seed of the pairs", minimum=0, maximum=MAX_INTEGER)


TUNERS.register(
    "line-search",
    LineSearchConfig,
    "s2st.rescoring.line_search:LineSearch",
    "exact line search over the metric (Och 2003)",
)
TUNERS.register(
    "mira", MiraConfig, "s2st.rescoring.batch_mira:Mira", "batch MIRA (Cherry & Foster 2012)"
)
TUNERS.register(
    "pro",
    ProConfig,
    "s2st.rescoring.pairwise_ranking:Pro",
    "pairwise ranked optimization (Hopkins & May 2011)",
)
