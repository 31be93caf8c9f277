"""Records that the Python interface returns: frozen, compared by value, with read-only arrays.

Letters: T target tokens with `</s>`, S source tokens with `</s>`. Log-probabilities are in nats.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Record:
    """A record whose fields may be arrays: two are equal if all their fields are."""

    def __post_init__(self) -> None:
        """Protect the arrays from changes."""
        for value in vars(self).values():
            for array in value.values() if isinstance(value, Mapping) else (value,):
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = [one.name for one in fields(self) if one.compare]  # type: ignore[arg-type]
        return all(_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)


@dataclass(frozen=True, eq=False)
class Hypothesis(Record):
    """One translation of a line. An empty line has one empty hypothesis, without tokens.

    Attributes:
        text: the text, as `generate` writes it.
        tokens: T tokens of the model, `</s>` last.
        token_log_probs: (T,) log-probability of each token.
        log_prob: their sum.
        score: the log-probability after length normalization, by which hypotheses are ranked.
        finished: false if the length limit ended the hypothesis.
        source_tokens: S tokens of the source, `</s>` last.
        attention: (T, S) attention weights, whose rows sum to 1; None for a model without
            attention.
    """

    text: str
    tokens: tuple[str, ...]
    token_log_probs: Floats
    log_prob: float
    score: float
    finished: bool
    source_tokens: tuple[str, ...]
    attention: Floats | None = None


@dataclass(frozen=True, eq=False)
class PairScore(Record):
    """log p(target | source) of a pair of lines.

    Attributes:
        log_prob: the sum of `token_log_probs`.
        tokens: T target tokens, `</s>` last.
        token_log_probs: (T,) log-probability of each token.
        unknown: number of target tokens that the model does not know.
    """

    log_prob: float
    tokens: tuple[str, ...]
    token_log_probs: Floats
    unknown: int

    @property
    def perplexity(self) -> float:
        """Perplexity per token, `</s>` included."""
        return float(np.exp(-self.log_prob / len(self.tokens)))


@dataclass(frozen=True, eq=False)
class AttentionMap(Record):
    """The attention of each token to others: of the target to the source, or self-attention.

    Attributes:
        source: S source tokens, `</s>` last. A token that the model does not know ends in `(unk)`.
            Empty for a language model.
        target: T target tokens of the same form.
        weights: (R, C) attention weights; rows sum to 1.
        log_prob: log-probability of the target.
        rows: R tokens that read: `target`, or `source` for the encoder's self-attention. In the
            decoder's self-attention, the row of a token is the step that predicts it.
        columns: C tokens that are read: `source`, or `<s>` and the target without `</s>` for the
            decoder's self-attention.
        part: "cross", "encoder" or "decoder".
        layer: number of the layer, from 1; None for the highest one.
        head: number of the head, from 1; None for the mean over the heads.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Floats
    log_prob: float
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    part: str = "cross"
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True, eq=False)
class BeamNode(Record):
    """A hypothesis that a beam search kept: a node of the tree in `Explanation.tree`.

    Attributes:
        parent: index of the node with one token less; -1 for the first node, which has no tokens.
        token: the last token; `</s>` for a complete hypothesis, "" for the first node.
        log_prob: log-probability of the token.
        total: log-probability of all tokens so far.
        score: number by which complete hypotheses are ranked; None for a partial hypothesis.
        rank: place in `Explanation.hypotheses`, from 0; None for the others.
    """

    parent: int
    token: str
    log_prob: float
    total: float
    score: float | None = None
    rank: int | None = None


@dataclass(frozen=True, eq=False)
class Choice(Record):
    """The most probable tokens at one position, of the best hypothesis or after a prefix.

    Attributes:
        tokens: k tokens, best first, whatever the search allows there.
        log_probs: (k,) their log-probabilities.
        prefix: the tokens before this position, in the order in which the model predicts them.
    """

    tokens: tuple[str, ...]
    log_probs: Floats
    prefix: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class StatePath(Record):
    """How the state of a recurrent model moves, projected on two principal components.

    Attributes:
        source: R source tokens in the order in which the encoder reads them, `</s>` last; empty
            for a language model.
        target: W tokens that the decoder reads, `<s>` first.
        places: (R + W, 2) the state after each of these tokens.
        explained: share of the variance along each of the two components.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    places: Floats
    explained: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Explanation(Record):
    """What a beam search of one sentence considered.

    Attributes:
        source: the sentence.
        source_tokens: S source tokens, `</s>` last; empty for a language model.
        hypotheses: the complete hypotheses, best first.
        tree: all hypotheses that the search kept, each after its parent. Tokens follow each other
            in the order in which the model predicts them.
        choices: one for each token of the best hypothesis, in the order of the text.
        states: None for a model with attention or without a state of fixed size.
        right_to_left: whether the model predicts the last word first.
    """

    source: str
    source_tokens: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...]
    tree: tuple[BeamNode, ...]
    choices: tuple[Choice, ...]
    states: StatePath | None
    right_to_left: bool = False


@dataclass(frozen=True, eq=False)
class Candidate(Record):
    """One hypothesis of an n-best list.

    Attributes:
        text: the words, separated by spaces.
        total: the score by which the list is ranked; larger is better.
        features: the values of each feature, by name.
        extra: further fields of the line, unchanged.
        token_log_probs: after rescoring, the log-probability of each token under each model, by
            the name of its feature.
    """

    text: str
    total: float = 0.0
    features: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    token_log_probs: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Rescoring(Record):
    """Rescored lists.

    Attributes:
        lists: for each source line its candidates with new features and totals, best first.
        weights: the weights of each feature, by name.
        report: what tuning and the oracle found, as `rescore-nbest --report` writes it.
    """

    lists: tuple[tuple[Candidate, ...], ...]
    weights: Mapping[str, tuple[float, ...]]
    report: Mapping[str, Any]

    @property
    def best(self) -> list[str]:
        """The best text of each list, "" for an empty list."""
        return [candidates[0].text if candidates else "" for candidates in self.lists]
