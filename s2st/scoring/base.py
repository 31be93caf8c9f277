"""The `Scorer` interface: natural-log probabilities in float32, larger is better.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V words.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import UsageError
from s2st.models.base import DecoderState, Reading
from s2st.models.prefix_tree import PrefixTree
from s2st.scoring.top_k import best_words
from s2st.text.tokenizers import Tokenizer
from s2st.text.vector_lines import VectorIds, VectorWords
from s2st.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from s2st.scoring.shortlist import Shortlist

# numbers in a table of log-probabilities: on a CPU few enough to stay in the cache
CPU_CELLS = 1 << 22
GPU_CELLS = 1 << 27
MIN_ROWS = 32
Features: TypeAlias = "torch.Tensor | tuple[Features, ...]"
# (log-probabilities (n, V), their rows within the step): sets forbidden words to -inf, in place;
# the result is ignored
Forbid = Callable[[torch.Tensor, slice], object]


@dataclass(frozen=True)
class ScorerStep:
    """One decoding step: log_probs (N, V), the next state, attention (N, S) or None.

    The caller may write into log_probs, but not into the rest, which later steps share.
    """

    log_probs: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class Advance:
    """One decoding step before the softmax.

    Attributes:
        features: tensors of N rows each, or nested tuples of them; only the scorer reads them.
        state: the next state.
        attention: (N, S) or None.
    """

    features: Features
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class WordStep:
    """One decoding step with the log-probabilities (K,) of some words only."""

    log_probs: torch.Tensor
    state: DecoderState


@dataclass(frozen=True)
class BestStep:
    """One decoding step with the k best words of each row only.

    Attributes:
        log_probs: (N, k), best first; -inf if fewer than k words may follow.
        words: (N, k) ids of the words.
        state: the next state.
        attention: (N, S) or None.
    """

    log_probs: torch.Tensor
    words: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class TextSide:
    """Conversion between text of one language and ids.

    Attributes:
        language: code of the language; "" if a word-level model does not state it.
        right_to_left: whether the model predicts the last word first; ids have its order.
    """

    language: str
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    right_to_left: bool = False

    @property
    def absent(self) -> bool:
        """Whether this side has no text, like the source side of a language model."""
        return self.tokenizer.absent

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens, without EOS, in the model's order; the vectors of a vector line."""
        if isinstance(tokens, VectorWords):
            return VectorIds(tokens.values)
        ids = self.vocabulary.encode(tokens)
        return ids[::-1] if self.right_to_left else ids

    def words(self, ids: Sequence[int]) -> list[str]:
        """Tokens in the order of the text, of ids without EOS in the model's order."""
        return self.vocabulary.decode(ids[::-1] if self.right_to_left else ids)

    def places(self, count: int) -> list[int]:
        """For each of `count` positions of a text, EOS last, its position in the model's order.

        `count` is 0 for a line that no model has scored: it does not even have EOS.
        """
        if not self.right_to_left or not count:
            return list(range(count))
        return [*range(count - 2, -1, -1), count - 1]


@dataclass(frozen=True)
class MemberApart:
    """A member of an ensemble that scores words by itself.

    Attributes:
        scorer: the member.
        state: its first state.
        ids: (V,) its ids of the ensemble's target words, on the CPU; None if they are the same.
    """

    scorer: "Scorer"
    state: DecoderState
    ids: torch.Tensor | None


class Scorer(ABC):
    """p(target | source) by one or several models. `source` and `target` define the ids."""

    source: TextSide
    target: TextSide
    device: torch.device
    computes_trees: bool = False  # whether `tree_features` returns values
    log_zero: float = -math.inf  # log-probabilities up to this one stand for the probability 0

    @abstractmethod
    def start(self, source: SourceBatch) -> DecoderState:
        """The state before the first step, with one row per sentence."""

    @abstractmethod
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """Reads one token (N,) in each row; the first one is BOS."""

    def sentence_vectors(self, source: SourceBatch) -> dict[str, torch.Tensor]:
        """Vectors (B, D) of each source in at least float32, by the name of the encoder's part.

        For a recurrent model the parts are "hidden" and, for the LSTM, "cell".

        Raises:
            UsageError: this scorer has no sentence vectors.
        """
        raise UsageError(
            "this model has no sentence vectors; name a model with a source, such as lstm or "
            "transformer"
        )

    def attention_weights(self, batch: Batch) -> dict[str, tuple[torch.Tensor, ...]]:
        """Attention weights of all layers and heads: see `Seq2SeqModel.attention_weights`.

        This default has no parts: only a single model can tell its heads apart.
        """
        return {}

    def reading(self, source: SourceBatch) -> Reading | None:
        """How the model reads a batch of one source; None for a scorer that cannot tell."""
        return None

    def state_vectors(self, state: DecoderState) -> torch.Tensor | None:
        """(N, D) what N rows remember, in at least float32; None without such vectors."""
        return None

    def check_pairs(self, batch: Batch) -> None:  # noqa: B027 - most scorers take any pair
        """Explains why a pair has the probability 0.

        Raises:
            DataError: a pair is impossible; the message names the pair and the reason.
        """

    def over(self, target: TextSide) -> "Scorer":
        """This scorer with the target ids of another side, for an ensemble.

        Most scorers return themselves: the ensemble then matches the ids by word.
        """
        return self

    def advance(self, tokens: torch.Tensor, state: DecoderState) -> Advance:
        """Like `step`, but leaves the softmax to `log_probs`. This default does all the work."""
        result = self.step(tokens, state)
        return Advance(result.log_probs, result.state, result.attention)

    def log_probs(self, features: Features) -> torch.Tensor:
        """(N, V) log-probabilities of the features from `advance`, or of some of their rows.

        The caller may write into the result.
        """
        assert isinstance(features, torch.Tensor)
        return features.clone()

    def probabilities(self, features: Features) -> torch.Tensor:
        """(N, V) probabilities instead; values below about 1e-38 can be 0."""
        return self.log_probs(features).exp_()

    def narrowed(self, shortlist: "Shortlist") -> "Scorer":
        """The scorer of one batch, over the words of its shortlists, whose places are the ids.

        Raises:
            UsageError: this scorer has no softmax that can be narrowed.
        """
        raise UsageError(
            "--shortlist needs neural models; n-gram models and plugins' scorers score all words"
        )

    def whole_step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """`step` in terms of `advance` and `log_probs`, for scorers that define these."""
        result = self.advance(tokens, state)
        tables = [self.log_probs(_rows(result.features, p)) for p in self._parts(result.features)]
        log_probs = tables[0] if len(tables) == 1 else torch.cat(tables)
        if log_probs.is_inference() and not torch.is_inference_mode_enabled():
            log_probs = (
                log_probs.clone()
            )  # the caller may write into it, and cannot write into an inference tensor
        return ScorerStep(log_probs, result.state, result.attention)

    def step_words(
        self, tokens: torch.Tensor, state: DecoderState, rows: torch.Tensor, words: torch.Tensor
    ) -> WordStep:
        """Like `step`, but only for some words, without a table (N, V).

        Args:
            tokens: (N,) token that each row reads.
            rows, words: (K,) pairs of a row, in ascending order, and a possible next word.
        """
        result = self.advance(tokens, state)
        return WordStep(self.pick(result.features, rows, words), result.state)

    @torch.inference_mode()
    def step_best(
        self, tokens: torch.Tensor, state: DecoderState, count: int, forbid: Forbid
    ) -> BestStep:
        """Like `step`, but returns only the `count` best words of each row.

        Args:
            tokens: (N,) token that each row reads.
            count: words per row; fewer if the vocabulary is smaller.
            forbid: sets the log-probabilities of forbidden words to -inf.
        """
        result = self.advance(tokens, state)
        found = []
        for part in self._parts(result.features):
            log_probs = self.log_probs(_rows(result.features, part))
            forbid(log_probs, part)
            found.append(best_words(log_probs, count))
        values, words = (torch.cat(columns) for columns in zip(*found, strict=True))
        return BestStep(values, words, result.state, result.attention)

    def tree_features(self, state: DecoderState, tree: PrefixTree) -> "Features | None":
        """Features of all prefixes of a tree; None if this scorer computes steps only.

        Args:
            state: the first state, a row for each source.
            tree: the prefixes, on any device.
        """
        return None

    def members_apart(self, state: DecoderState) -> "Sequence[MemberApart]":
        """Members whose log-probabilities of words are all that `combined` needs; often none.

        Args:
            state: the first state.
        """
        return ()

    def combined(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Log-probabilities from those of each member of `members_apart`, of any shape."""
        raise NotImplementedError

    def pick(self, features: Features, rows: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(K,) log-probabilities of words (K,) in rows (K,) of the features; rows ascend."""
        parts = self._parts(features)
        if len(parts) == 1:  # nothing to cut, so a GPU need not be asked where
            return self.log_probs(features)[rows, words]
        ends = torch.tensor([part.stop for part in parts], device=rows.device)
        found, begin = [], 0
        for part, end in zip(parts, torch.searchsorted(rows, ends).tolist(), strict=True):
            log_probs = self.log_probs(_rows(features, part))
            found.append(log_probs[rows[begin:end] - part.start, words[begin:end]])
            begin = end
        return torch.cat(found)

    def _parts(self, features: Features) -> list[slice]:
        """Slices of rows whose table of log-probabilities fits the cache; at least one slice."""
        count = _count(features)
        cells = CPU_CELLS if self.device.type == "cpu" else GPU_CELLS
        size = max(MIN_ROWS, cells // len(self.target.vocabulary))
        return [slice(i, min(count, i + size)) for i in range(0, max(1, count), size)]

    def score(self, batch: Batch) -> torch.Tensor:
        """Log-probability (B, T) of every target word given the words before; 0 at padding.

        This default steps through the target. A subclass can have a faster version with the same
        results.
        """
        batch = batch.to(self.device)
        state = self.start(batch.source)
        columns = []
        for position in range(batch.target_in.shape[1]):
            result = self.step(batch.target_in[:, position], state)
            words = batch.target_out[:, position : position + 1]
            columns.append(result.log_probs.gather(1, words))
            state = result.state
        # masked_fill, since a scorer may give padding the log-probability -inf, and -inf * 0 is NaN
        return torch.cat(columns, dim=1).masked_fill(~batch.target_mask(), 0)


def _rows(features: Features, part: slice) -> Features:
    if isinstance(features, torch.Tensor):
        return features[part]
    return tuple(_rows(inner, part) for inner in features)


def _count(features: Features) -> int:
    """The number of rows."""
    return len(features) if isinstance(features, torch.Tensor) else _count(features[0])
