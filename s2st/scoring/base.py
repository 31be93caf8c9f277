"""The Scorer interface: natural-log probabilities in float32, larger is better.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V words.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import UsageError
from s2st.models.base import DecoderState
from s2st.scoring.top_k import best_words
from s2st.text.tokenizers import Tokenizer
from s2st.text.vocabulary import Vocabulary

# of a table of log-probabilities: on a CPU one that stays in a cache
CPU_CELLS = 1 << 22
GPU_CELLS = 1 << 27
LEAST_ROWS = 32
Features: TypeAlias = "torch.Tensor | tuple[Features, ...]"
# (log-probabilities (n, V) to write into, which rows of a step they are)
Forbid = Callable[[torch.Tensor, slice], None]


@dataclass(frozen=True)
class ScorerStep:
    """One decoding step: log_probs (N, V), the next state, attention (N, S) or None.

    The caller may write into log_probs. The rest is shared with later steps.
    """

    log_probs: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class Advance:
    """One decoding step before the softmax.

    Attributes:
        features: tensors of N rows each, in tuples; what they are is the scorer's own affair.
        state: the next one.
        attention: (N, S) or None.
    """

    features: Features
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class WordStep:
    """One decoding step of which only some words' log-probabilities (K,) were asked for."""

    log_probs: torch.Tensor
    state: DecoderState


@dataclass(frozen=True)
class BestStep:
    """One decoding step of which only the k best words of each row were asked for.

    Attributes:
        log_probs: (N, k), best first; -inf where fewer words may follow.
        words: (N, k).
        state: the next one.
        attention: (N, S) or None.
    """

    log_probs: torch.Tensor
    words: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class TextSide:
    """How text of one language becomes ids and back.

    Attributes:
        language: its code; "" of a model of words whose language is not known.
        right_to_left: ids are in the order in which a model predicts them, last word first.
    """

    language: str
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    right_to_left: bool = False

    @property
    def absent(self) -> bool:
        """Whether there is never a word: the source side of a language model."""
        return self.tokenizer.absent

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Ids of a text's tokens, without EOS, in the model's order."""
        ids = self.vocabulary.encode(tokens)
        return ids[::-1] if self.right_to_left else ids

    def words(self, ids: Sequence[int]) -> list[str]:
        """The tokens, in the order of the text, of ids without EOS in the model's order."""
        return self.vocabulary.decode(ids[::-1] if self.right_to_left else ids)

    def places(self, count: int) -> list[int]:
        """For each of `count` positions of a text, EOS last, where the model has it.

        There are none where there is not even EOS: a line that no model was asked about.
        """
        if not self.right_to_left or not count:
            return list(range(count))
        return [*range(count - 2, -1, -1), count - 1]


class Scorer(ABC):
    """p(target | source) by one model or several. `source` and `target` say what its ids mean."""

    source: TextSide
    target: TextSide
    device: torch.device

    @abstractmethod
    def start(self, source: SourceBatch) -> DecoderState:
        """The state before the first step, one row a sentence."""

    @abstractmethod
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """Reads one token (N,) in each row; BOS first."""

    def sentence_vectors(self, source: SourceBatch) -> dict[str, torch.Tensor]:
        """What the encoder makes of each source: vectors (B, D) in at least float32, by part.

        For a recurrent model the parts are "hidden" and, for the LSTM, "cell".

        Raises:
            UsageError: this scorer has none.
        """
        raise UsageError(f"{type(self).__name__} has no sentence vectors")

    def check_pairs(self, batch: Batch) -> None:  # noqa: B027 - most scorers take any pair
        """Asked about pairs of probability 0.

        Raises:
            DataError: says what about a pair is impossible, naming it.
        """

    def over(self, target: TextSide) -> "Scorer":
        """This scorer for target ids of another side, as an ensemble needs it.

        Most scorers are what they are: their own ids are matched with the others' by word.
        """
        return self

    def advance(self, tokens: torch.Tensor, state: DecoderState) -> Advance:
        """As `step`, but the softmax is left to `log_probs`. This plain version does it all."""
        result = self.step(tokens, state)
        return Advance(result.log_probs, result.state, result.attention)

    def log_probs(self, features: Features) -> torch.Tensor:
        """(N, V) log-probabilities of features as `advance` made them, or of some of their rows.

        The caller may write into the result.
        """
        assert isinstance(features, torch.Tensor)
        return features.clone()

    def probabilities(self, features: Features) -> torch.Tensor:
        """(N, V) the same as probabilities; those below about 1e-38 may be 0."""
        return self.log_probs(features).exp_()

    def whole_step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """`step` by `advance` and `log_probs`, for scorers that have these two."""
        result = self.advance(tokens, state)
        tables = [self.log_probs(_rows(result.features, p)) for p in self._parts(result.features)]
        log_probs = tables[0] if len(tables) == 1 else torch.cat(tables)
        if log_probs.is_inference() and not torch.is_inference_mode_enabled():
            log_probs = log_probs.clone()  # only here may a copy be written into, as a caller may
        return ScorerStep(log_probs, result.state, result.attention)

    def step_words(
        self, tokens: torch.Tensor, state: DecoderState, rows: torch.Tensor, words: torch.Tensor
    ) -> WordStep:
        """As `step`, but only for some words, so that a (N, V) table need not be made.

        Args:
            tokens: (N,) read by the rows.
            rows, words: (K,) pairs of a row, rising, and a word that may come next there.
        """
        result = self.advance(tokens, state)
        return WordStep(self.pick(result.features, rows, words), result.state)

    @torch.inference_mode()
    def step_best(
        self, tokens: torch.Tensor, state: DecoderState, count: int, forbid: Forbid
    ) -> BestStep:
        """As `step`, but only the `count` best words of each row.

        Args:
            tokens: (N,) read by the rows.
            count: words a row; fewer where the vocabulary is smaller.
            forbid: sets words that may not follow to -inf.
        """
        result = self.advance(tokens, state)
        found = []
        for part in self._parts(result.features):
            log_probs = self.log_probs(_rows(result.features, part))
            forbid(log_probs, part)
            found.append(best_words(log_probs, count))
        values, words = (torch.cat(columns) for columns in zip(*found, strict=True))
        return BestStep(values, words, result.state, result.attention)

    def pick(self, features: Features, rows: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(K,) the log-probabilities of words (K,) given the features in rows (K,), rising."""
        parts = self._parts(features)
        ends = torch.tensor([part.stop for part in parts], device=rows.device)
        found, begin = [], 0
        for part, end in zip(parts, torch.searchsorted(rows, ends).tolist(), strict=True):
            log_probs = self.log_probs(_rows(features, part))
            found.append(log_probs[rows[begin:end] - part.start, words[begin:end]])
            begin = end
        return torch.cat(found)

    def _parts(self, features: Features) -> list[slice]:
        """Rows whose tables of log-probabilities fit a cache together; at least one part."""
        count = _count(features)
        cells = CPU_CELLS if self.device.type == "cpu" else GPU_CELLS
        size = max(LEAST_ROWS, cells // len(self.target.vocabulary))
        return [slice(i, min(count, i + size)) for i in range(0, max(1, count), size)]

    def score(self, batch: Batch) -> torch.Tensor:
        """Log-probability (B, T) of every target word given those before it; 0 at padding.

        This plain version steps through the target; a subclass may have a faster one that is
        equal to it.
        """
        batch = batch.to(self.device)
        state = self.start(batch.source)
        columns = []
        for position in range(batch.target_in.shape[1]):
            result = self.step(batch.target_in[:, position], state)
            words = batch.target_out[:, position : position + 1]
            columns.append(result.log_probs.gather(1, words))
            state = result.state
        # filled, not multiplied: a scorer may give padding the log-probability -inf
        return torch.cat(columns, dim=1).masked_fill(~batch.target_mask(), 0)


def _rows(features: Features, part: slice) -> Features:
    if isinstance(features, torch.Tensor):
        return features[part]
    return tuple(_rows(inner, part) for inner in features)


def _count(features: Features) -> int:
    """How many rows there are."""
    return len(features) if isinstance(features, torch.Tensor) else _count(features[0])
