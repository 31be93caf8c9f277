"""The searches registry: configs, importable without torch.

A builder takes (config) and returns a `Search`, see `s2st.search.base`.
"""

from dataclasses import dataclass
from typing import Any

from s2st.config import option
from s2st.registry import Registry

SEARCHES: Registry[Any] = Registry("search", "s2st.search.base:Search")


@dataclass(frozen=True)
class SearchConfig:
    """Options that every search understands. A length counts words without EOS."""

    nbest: int = option(1, "hypotheses a sentence, best first", minimum=1)
    max_len_a: float = option(
        2.0,
        "longest output: max-len-a x source length + max-len-b words, after a prompt",
        minimum=0,
        maximum=1000,
    )
    max_len_b: int = option(10, "see --max-len-a", minimum=0, maximum=1_000_000)
    min_len: int = option(
        0, "shortest output in words, a prompt's counted", minimum=0, maximum=1_000_000
    )
    unk: bool = option(True, "let the search choose the unknown word")


@dataclass(frozen=True)
class GreedyConfig(SearchConfig):
    """Options of the greedy search."""


@dataclass(frozen=True)
class BeamConfig(SearchConfig):
    """Options of the beam search."""

    beam: int = option(5, "partial hypotheses kept a sentence", minimum=1)
    lenpen: float = option(
        0.0, "divide the log-probability by length ** lenpen; 0 is the paper's rule", minimum=0
    )


@dataclass(frozen=True)
class SamplingConfig(SearchConfig):
    """Options of the sampling search."""

    temperature: float = option(1.0, "divides the logits; low is greedy", minimum=1e-4)
    top_k: int | None = option(None, "draw among this many best words only", minimum=1)
    top_p: float | None = option(
        None, "nucleus: draw among the best words that hold this much probability", minimum=0
    )
    sampling_seed: int = option(1, "seed of the draws, with the line number", minimum=0)


@dataclass(frozen=True)
class ExhaustiveConfig(SearchConfig):
    """Options of the exhaustive search, an oracle for tiny vocabularies."""


SEARCHES.register(
    "beam", BeamConfig, "s2st.search.beam:BeamSearch", "left-to-right beam search (the paper's)"
)
SEARCHES.register(
    "greedy", GreedyConfig, "s2st.search.greedy:GreedySearch", "the best word at every step"
)
SEARCHES.register(
    "sampling",
    SamplingConfig,
    "s2st.search.sampling:SamplingSearch",
    "draws words at random (temperature, top-k, nucleus)",
)
SEARCHES.register(
    "exhaustive",
    ExhaustiveConfig,
    "s2st.search.exhaustive:ExhaustiveSearch",
    "every hypothesis there is; only for vocabularies of a few words",
)
