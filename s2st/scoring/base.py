"""The Scorer interface: natural-log probabilities in float32, larger is better.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V words.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.models.base import DecoderState
from s2st.text.tokenizers import Tokenizer
from s2st.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class ScorerStep:
    """One decoding step: log_probs (N, V), the next state, attention (N, S) or None."""

    log_probs: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


@dataclass(frozen=True)
class WordStep:
    """One decoding step of which only some words' log-probabilities (K,) were asked for."""

    log_probs: torch.Tensor
    state: DecoderState


@dataclass(frozen=True)
class TextSide:
    """How text of one language becomes ids and back."""

    language: str
    tokenizer: Tokenizer
    vocabulary: Vocabulary


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

    def step_words(
        self, tokens: torch.Tensor, state: DecoderState, rows: torch.Tensor, words: torch.Tensor
    ) -> WordStep:
        """As `step`, but only for some words, so that a (N, V) table need not be made.

        Args:
            tokens: (N,) read by the rows.
            rows, words: (K,) pairs of a row and a word that may come next there.
        """
        result = self.step(tokens, state)
        return WordStep(result.log_probs[rows, words], result.state)

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
