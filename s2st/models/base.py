"""The one interface between models and the rest.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V target
vocabulary, H width. Batch first, right-padded.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.models.output import at_least_float32

PROJECTED_ROWS = 256  # whose logits are held at a time


class DecoderState(ABC):
    """What a decoder carries from one step to the next, one row for each of N hypotheses."""

    @abstractmethod
    def select(self, rows: torch.Tensor) -> "DecoderState":
        """A state whose row i is row rows[i] of this one; this one does not change.

        Args:
            rows: (N',) int64; may repeat, reorder and drop rows.
        """


@dataclass(frozen=True)
class EncoderOutput:
    """What the encoder hands to the decoder.

    Attributes:
        final: the model's own summary of each source; rows in the order of the batch.
        states: (B, S, H) every position's top state, for attention; None where not kept.
        mask: (B, S) True at real source positions; None where not kept.
    """

    final: tuple[torch.Tensor, ...]
    states: torch.Tensor | None = None
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class ModelStep:
    """One decoding step: features (N, H) to project, the next state, attention (N, S) or None."""

    features: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


class Seq2SeqModel(nn.Module, ABC):
    """A trainable p(target | source). `project` is apart from `decode` and `step`, so that only
    real target positions are projected, and as many rows at once as fit a cache; `decode` equals
    a loop over `step`.
    """

    @abstractmethod
    def encode(self, source: SourceBatch) -> EncoderOutput:
        """Reads B sources. Reversal of the source, where the config asks for it, happens here."""

    @abstractmethod
    def initial_state(self, encoder_output: EncoderOutput) -> DecoderState:
        """The decoder's state before its first step, B rows."""

    @abstractmethod
    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features (B, T, H) of target_in (B, T), teacher forced from the initial state."""

    @abstractmethod
    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (..., V) of features (..., H)."""

    def word_log_probs(
        self, features: torch.Tensor, rows: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities (K,) of words (K,) given features[rows], (K, H) of features (N, H).

        This plain version projects some rows at a time; a model may have a faster one.
        """
        result = features.new_empty(len(rows), dtype=at_least_float32(features[:0]).dtype)
        for first in range(0, len(features), PROJECTED_ROWS):
            logits = at_least_float32(self.project(features[first : first + PROJECTED_ROWS]))
            mine = (rows >= first) & (rows < first + PROJECTED_ROWS)
            result[mine] = torch.log_softmax(logits, dim=-1)[rows[mine] - first, words[mine]]
        return result

    def quantize(self) -> None:
        """Turns the weights of decoding into int8, for good; raises UsageError if it cannot."""
        raise UsageError("--precision int8: this architecture has no int8 weights")

    @abstractmethod
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token (N,) in each row."""


@dataclass(frozen=True)
class ModelSizes:
    """Rows of the embedding tables, the four special tokens counted."""

    source_vocabulary: int
    target_vocabulary: int


def reverse_tokens(source: SourceBatch) -> torch.Tensor:
    """(B, S) the tokens with each sentence's words in reverse; EOS and padding stay in place."""
    width = source.tokens.shape[1]
    positions = torch.arange(width).unsqueeze(0)
    words = source.lengths.unsqueeze(1) - 1  # without EOS
    index = torch.where(positions < words, words - 1 - positions, positions)
    return source.tokens.gather(1, index.to(source.tokens.device))


def parameters_by_part(model: nn.Module) -> dict[str, tuple[int, int]]:
    """For each top-level part: (weights, biases), counted apart as the paper counts weights."""
    parts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        weights, biases = parts.get(part, (0, 0))
        if "bias" in name.split(".")[-1]:
            biases += parameter.numel()
        else:
            weights += parameter.numel()
        parts[part] = (weights, biases)
    return parts
