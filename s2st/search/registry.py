"""The registry of searches: configs, importable without torch.

A builder takes (config) and returns a `Search` (`s2st.search.base`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.errors import UsageError
from s2st.options.option_fields import MAX_INTEGER, option
from s2st.options.registry import Registry

if TYPE_CHECKING:
    from s2st.search.base import Search

SEARCHES: Registry["Search"] = Registry("search", "s2st.search.base:Search")
MAX_HYPOTHESES = 100_000  # of a sentence, complete or partial


@dataclass(frozen=True)
class SearchConfig:
    """Options that every search understands. A length counts words without EOS."""

    nbest: int = option(1, "hypotheses per sentence, best first", minimum=1, maximum=MAX_HYPOTHESES)
    max_len_a: float = option(
        2.0,
        "maximum output length in words, not counting a prompt: max-len-a x source length + "
        "max-len-b",
        minimum=0,
        maximum=1000,
    )
    max_len_b: int = option(10, "see --max-len-a", minimum=0, maximum=1_000_000)
    min_len: int = option(
        0, "minimum output length in words, counting a prompt", minimum=0, maximum=1_000_000
    )
    unk: bool = option(True, "let the search choose the unknown word")
    no_repeat_ngram_size: int = option(
        0,
        "no sequence of N words occurs twice in an output; 0 allows all",
        minimum=0,
        maximum=1000,
        flags=("--no-repeat-ngram",),
    )
    repetition_penalty: float = option(
        1.0,
        "multiply the log-probability of words that the output already has; 1 is no penalty",
        minimum=1,
        maximum=1000,
    )

    def check(self) -> None:
        """Raises UsageError if `min_len` is above the limit of a source of one word."""
        longest = int(self.max_len_a + self.max_len_b)
        if self.min_len > longest:
            raise UsageError(
                f"--min-len {self.min_len} contradicts --max-len-a {self.max_len_a:g} and "
                f"--max-len-b {self.max_len_b}, which allow {longest} words for a source of one "
                f"word; use --max-len-b {self.min_len}, or lower --min-len"
            )


@dataclass(frozen=True)
class GreedyConfig(SearchConfig):
    """Options of the greedy search."""


@dataclass(frozen=True)
class BeamConfig(SearchConfig):
    """Options of the beam search."""

    beam: int = option(5, "partial hypotheses kept per sentence", minimum=1, maximum=MAX_HYPOTHESES)
    lenpen: float = option(
        0.0,
        "divide the log-probability by length ** lenpen; 0 is the paper's rule; `s2st tune-length` "
        "finds a good value",
        minimum=0,
        maximum=10,
    )
    length_normalization: str = option(
        "power",
        "power: divide by length ** lenpen; wu: by ((5 + length) / 6) ** lenpen (Wu et al. 2016)",
        choices=("power", "wu"),
    )
    coverage_penalty: float = option(
        0.0,
        "add this times the sum over source words of log(min(1, attention in all)) to the score "
        "(Wu et al. 2016); needs a model with attention",
        minimum=0,
        maximum=100,
    )

    def check(self) -> None:
        """Raises UsageError if `nbest` is above the number that the beam surely finds."""
        super().check()
        if self.nbest > self.beam:
            raise UsageError(
                f"--nbest {self.nbest} is more than --beam {self.beam}: this beam may find only "
                f"{self.beam} hypotheses; use --beam {self.nbest}, or lower --nbest"
            )


@dataclass(frozen=True)
class DiverseBeamConfig(BeamConfig):
    """Options of the diverse beam search."""

    diverse_beam_groups: int = option(
        5,
        "groups into which the beam is divided; must divide --beam",
        minimum=1,
        maximum=MAX_HYPOTHESES,
    )
    diverse_beam_strength: float = option(
        0.5,
        "subtract this from a word's log-probability for each earlier hypothesis of another group "
        "that takes it at the same step",
        minimum=0,
        maximum=1000,
    )

    def check(self) -> None:
        """Raises UsageError if the groups do not divide the beam."""
        super().check()
        groups = self.diverse_beam_groups
        if self.beam % groups:
            raise UsageError(
                f"--diverse-beam-groups {groups} does not divide --beam {self.beam}; use --beam "
                f"{-(-self.beam // groups) * groups}, or other groups"
            )


@dataclass(frozen=True)
class SamplingConfig(SearchConfig):
    """Options of the sampling search."""

    temperature: float = option(
        1.0, "divide the logits by this; near 0, sampling is greedy", minimum=1e-4, maximum=100
    )
    top_k: int | None = option(
        None, "draw only from this many best words", minimum=1, maximum=100_000_000
    )
    top_p: float | None = option(
        None,
        "nucleus: draw from the smallest set of best words with this total probability",
        minimum=0,
        maximum=1,
    )
    sampling_seed: int = option(
        1, "seed of the draws, combined with the line number", minimum=0, maximum=MAX_INTEGER
    )


@dataclass(frozen=True)
class MbrConfig(SamplingConfig):
    """Options of minimum Bayes risk search; those of sampling are for the candidates."""

    candidates: int = option(
        32, "texts per sentence among which the best is chosen", minimum=1, maximum=1000
    )
    candidates_from: str = option(
        "sampling",
        "take the candidates from samples, or from the n-best list of a beam of that size",
        choices=("sampling", "beam"),
    )
    utility: str = option("bleu", "utility; `s2st list utilities` shows all")

    def check(self) -> None:
        """Raises UsageError if `nbest` is above the number of candidates."""
        super().check()
        if self.nbest > self.candidates:
            raise UsageError(
                f"--nbest {self.nbest} is more than --candidates {self.candidates}; use "
                f"--candidates {self.nbest}, or lower --nbest"
            )


@dataclass(frozen=True)
class StochasticBeamConfig(SearchConfig):
    """Options of the stochastic beam search."""

    temperature: float = option(
        1.0, "divides the logits; near 0 it is beam search", minimum=1e-4, maximum=100
    )
    sampling_seed: int = option(
        1, "seed of the draws, combined with the line number", minimum=0, maximum=MAX_INTEGER
    )


@dataclass(frozen=True)
class ExhaustiveConfig(SearchConfig):
    """Options of the exhaustive search, for tiny vocabularies."""


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
    "random draws of words (temperature, top-k, nucleus)",
)
SEARCHES.register(
    "diverse-beam",
    DiverseBeamConfig,
    "s2st.search.diverse_beam:DiverseBeamSearch",
    "beam search in groups that avoid each other's words (Vijayakumar et al. 2018)",
)
SEARCHES.register(
    "stochastic-beam",
    StochasticBeamConfig,
    "s2st.search.stochastic_beam:StochasticBeamSearch",
    "samples of whole outputs without replacement (Kool et al. 2019)",
)
SEARCHES.register(
    "mbr",
    MbrConfig,
    "s2st.search.mbr:MbrSearch",
    "minimum Bayes risk: the candidate with the largest expected BLEU, chrF or other utility",
)
SEARCHES.register(
    "exhaustive",
    ExhaustiveConfig,
    "s2st.search.exhaustive:ExhaustiveSearch",
    "all possible hypotheses; only for vocabularies of a few words",
)
