"""The one interface between models and the rest.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V target
vocabulary, H width. Batch first, right-padded.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from s2st.data.batch import Batch, SourceBatch, moved
from s2st.errors import UsageError
from s2st.models.softmax.chunked_loss import at_least_float32


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


class ModelStage(nn.Module, ABC):
    """Some layers of a model, so that models larger than a device are trained by several.

    The first stage reads ids, the others what the stage before gave; the last gives the features.
    """

    @abstractmethod
    def forward(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        source_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Both sides' states, (S, B, H) and (T, B, H); of the last stage the features (B, T, H).

        Args:
            source, target: ids (B, S) and (B, T), target from BOS; else the states before.
            source_lengths, target_lengths: (B,) int64 on the CPU; a target's may be 0.
        """


@dataclass(frozen=True)
class Embeddings:
    """A model's tables of word vectors; None where it has none of a side."""

    source: nn.Embedding | None
    target: nn.Embedding | None


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

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """What `final` holds of each source, as vectors (B, D) by the name of the part.

        This plain version takes the first dimension of every tensor of `final` for the sentences
        and puts the rest side by side.
        """
        return {"final": torch.cat([part.flatten(1) for part in encoder_output.final], dim=1)}

    def embeddings(self) -> Embeddings:
        """The tables whose rows are words' vectors."""
        return Embeddings(None, None)

    def check_pairs(self, batch: Batch) -> None:
        """Told of every batch before its loss is computed.

        Raises:
            DataError: a pair that no such model can have, named.
        """

    @abstractmethod
    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features (B, T, H) of target_in (B, T), teacher forced from the initial state."""

    @abstractmethod
    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (..., V) of features (..., H)."""

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over N rows, in nats, of what training minimizes and of -log p(word).

        This plain version holds all logits; a model may have a leaner one.

        Args:
            features: (N, H).
            words: (N,) int64.
            smoothing: e in (1 - e) * -log p(word) + e * mean over the vocabulary of -log p.

        Returns:
            Scalars in at least float32: the loss, with gradient, and -log p(word), without.
        """
        log_probs = torch.log_softmax(at_least_float32(self.project(features)), dim=-1)
        nll = -log_probs.gather(1, words.unsqueeze(1)).sum()
        if not smoothing:
            return nll, nll.detach()
        uniform = -log_probs.mean(dim=-1).sum()
        return (1 - smoothing) * nll + smoothing * uniform, nll.detach()

    def prepare(self, precision: str) -> None:
        """Lays the weights out for scoring in this number format, for good.

        Raises:
            UsageError: int8 is asked for, and the architecture has no int8 weights.
        """
        if precision == "int8":
            raise UsageError("--precision int8: this architecture has no int8 weights")

    def stage(self, index: int, count: int) -> ModelStage:
        """This model's own layers of one of `count` stages: all but the softmax matrix.

        Raises:
            UsageError: the model cannot be divided so.
        """
        raise UsageError("--pipeline-stages: this architecture cannot be divided into stages")

    def softmax_weight(self) -> torch.Tensor:
        """(V, H): logits are features @ weight.T, for a model that `stage` divides."""
        raise UsageError("--vocabulary-parts: this architecture's softmax cannot be divided")

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
    positions = torch.arange(width).unsqueeze(0)  # on the CPU, where the lengths are
    words = source.lengths.unsqueeze(1) - 1  # without EOS
    index = torch.where(positions < words, words - 1 - positions, positions)
    return source.tokens.gather(1, moved(index, source.tokens.device))


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
