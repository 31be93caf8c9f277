"""The interface between models and the rest of s2st: `Seq2SeqModel` and its records.

Letters: B sentences, N rows being decoded, S source length, T target length with EOS, V target
vocabulary, H width. Batch first, right-padded.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from s2st.data.batch import Batch, SourceBatch, moved
from s2st.errors import UsageError
from s2st.models.prefix_tree import PrefixTree
from s2st.models.softmax.chunked_loss import at_least_float32
from s2st.text.vocabulary import PAD_ID


class DecoderState(ABC):
    """A decoder's state between two steps: one row for each of N hypotheses."""

    @abstractmethod
    def select(self, rows: torch.Tensor) -> "DecoderState":
        """A state whose row i is row rows[i] of this one; this one does not change.

        Args:
            rows: (N',) int64; can repeat, reorder and drop rows.
        """


@dataclass(frozen=True)
class EncoderOutput:
    """The encoder's results, which the decoder reads.

    Attributes:
        final: a summary of each source, whose form each model chooses.
        states: (B, S, H) the top state of every position, for attention; None if not kept.
        mask: (B, S) True at real source positions; None if not kept.
    """

    final: tuple[torch.Tensor, ...]
    states: torch.Tensor | None = None
    mask: torch.Tensor | None = None


class ModelStage(nn.Module, ABC):
    """Some layers of a model, so that several devices can train a model larger than one device.

    The first stage reads ids, each other stage the outputs of the stage before. The last stage
    returns the features.
    """

    @abstractmethod
    def forward(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        source_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """States of both sides, (S, B, H) and (T, B, H); in the last stage the features (B, T, H).

        Args:
            source, target: in the first stage ids (B, S) and (B, T), the target from BOS; in the
                others the states from the stage before.
            source_lengths, target_lengths: (B,) int64 on the CPU; a target's length can be 0.
        """


@dataclass(frozen=True)
class Reading:
    """How an encoder reads one source, token by token.

    Attributes:
        places: position in the source of each token in the order of reading; R of them.
        state: R rows, the decoder's first state if the source ended after each of these tokens.
    """

    places: tuple[int, ...]
    state: DecoderState


@dataclass(frozen=True)
class Embeddings:
    """A model's tables of word vectors; None for a side without one."""

    source: nn.Embedding | None
    target: nn.Embedding | None


@dataclass(frozen=True)
class ModelStep:
    """One decoding step: features (N, H) to project, the next state, attention (N, S) or None."""

    features: torch.Tensor
    state: DecoderState
    attention: torch.Tensor | None


class Seq2SeqModel(nn.Module, ABC):
    """A trainable p(target | source).

    `decode` returns the same features as a loop over `step`. `project` is separate from both, so
    that the caller projects only real target positions, and as many rows at once as fit the cache.

    Attributes:
        encoder_parts: names of the modules that only `encode` uses, so that several decoders can
            share them; empty if the architecture cannot say.
        computes_trees: whether the model has `decode_tree`.
    """

    encoder_parts: ClassVar[tuple[str, ...]] = ()
    computes_trees: ClassVar[bool] = False

    def for_target(self, language: str) -> "Seq2SeqModel":
        """The model that translates to a language: this one, unless it has several decoders."""
        return self

    @abstractmethod
    def encode(self, source: SourceBatch) -> EncoderOutput:
        """Reads B sources. This method also reverses them if the config asks for it."""

    @abstractmethod
    def initial_state(self, encoder_output: EncoderOutput) -> DecoderState:
        """The decoder's state before its first step, B rows."""

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """Vectors (B, D) of each source, by the name of the part of the encoder.

        This default treats the first dimension of every tensor of `final` as the sentences, and
        concatenates the rest.
        """
        return {"final": torch.cat([part.flatten(1) for part in encoder_output.final], dim=1)}

    def reading(self, source: SourceBatch) -> Reading | None:
        """How the model reads a batch of one source; None, the default, if it has no order."""
        return None

    def state_vectors(self, state: DecoderState) -> torch.Tensor | None:
        """(N, D) what N rows remember; None for a model without a state of fixed size."""
        return None

    def attention_weights(self, batch: Batch) -> dict[str, tuple[torch.Tensor, ...]]:
        """Attention weights when the model reads a batch of pairs, by the part of the model.

        The parts are "encoder" (self-attention, (B, A, S, S) for A heads), "decoder"
        (self-attention, (B, A, T, T), over the positions of `target_in`) and "cross" (from the
        decoder to the source, (B, A, T, S)). Each has a tensor for each layer, the lowest first.
        Rows sum to 1 at real positions. This default has no parts.
        """
        return {}

    def source_attention(self) -> tuple[nn.Module, ...]:
        """The modules that attend from the decoder to the source, the lowest layer first.

        They `note` their weights (see `attention_record.py`). This default has none.
        """
        return ()

    def embeddings(self) -> Embeddings:
        """The tables of word vectors; this default has none."""
        return Embeddings(None, None)

    def check_pairs(self, batch: Batch) -> None:
        """Called with each batch before the loss is computed.

        Raises:
            DataError: the model gives a pair the probability 0; the message names the pair.
        """

    @abstractmethod
    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features (B, T, H) of target_in (B, T), by teacher forcing from the initial state."""

    def decode_targets(self, batch: Batch, state: DecoderState) -> torch.Tensor:
        """Features (P, H) of the real target positions of a batch, in order.

        This default decodes the padding too. A model that need not do so overrides it.
        """
        places = batch.target_positions()
        return self.decode(batch.target_in, state).flatten(0, 1).index_select(0, places)

    def decode_tree(self, tree: PrefixTree, state: DecoderState) -> torch.Tensor:
        """Features (P, H) after each distinct prefix of some hypotheses, from the initial state.

        Only for models that compute positions in parallel: a recurrent model is stepped.
        """
        raise NotImplementedError

    @abstractmethod
    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (..., V) of features (..., H)."""

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over N rows, in nats, of the training loss and of -log p(word).

        This default keeps all logits in memory; a model can override it.

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
        """Prepares the weights for scoring in this precision, permanently.

        Raises:
            UsageError: the precision is int8, and the architecture has no int8 weights.
        """
        if precision == "int8":
            raise UsageError("--precision int8: this architecture has no int8 weights")

    def narrowed(self, words: torch.Tensor, precision: str) -> nn.Module:
        """The product that returns the logits (N, K) of some words for features (N, H).

        Args:
            words: (K,) ids.
            precision: "float32", "bfloat16" or "int8".

        Raises:
            UsageError: the model computes the logits of all words together.
        """
        raise UsageError(
            "--shortlist: this architecture cannot compute the softmax over some words only"
        )

    def stage(self, index: int, count: int) -> ModelStage:
        """The layers of stage `index` of `count` stages, which share this model's weights.

        Together the stages have all of the model except the softmax matrix.

        Raises:
            UsageError: the model cannot be divided into these stages.
        """
        raise UsageError("--pipeline-stages: this architecture cannot be divided into stages")

    def softmax_weight(self) -> torch.Tensor:
        """(V, H) for a model that `stage` divides: logits are features @ weight.T."""
        raise UsageError("--vocabulary-parts: this architecture's softmax cannot be divided")

    @abstractmethod
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token (N,) in each row."""


@dataclass(frozen=True)
class ModelSizes:
    """Rows of the embedding tables, including the special tokens.

    Attributes:
        decoders: for a model with a decoder for each target language, the languages and the rows
            of their tables.
        source_vectors: size of the vectors that the source consists of; 0 for words.
    """

    source_vocabulary: int
    target_vocabulary: int
    decoders: tuple[tuple[str, int], ...] = ()
    source_vectors: int = 0


def reverse_tokens(source: SourceBatch) -> torch.Tensor:
    """(B, S) the tokens with each sentence's words in reverse; EOS and padding stay in place."""
    width = source.tokens.shape[1]
    positions = torch.arange(width).unsqueeze(0)  # on the CPU, where the lengths are
    words = source.lengths.unsqueeze(1) - 1  # without EOS
    index = torch.where(positions < words, words - 1 - positions, positions)
    return source.tokens.gather(1, moved(index, source.tokens.device))


def without_eos(source: SourceBatch) -> SourceBatch:
    """The sources without EOS, as wide as before. A source without words keeps its EOS."""
    lengths = (source.lengths - 1).clamp(min=1)
    after = torch.arange(source.tokens.shape[1]) >= lengths.unsqueeze(1)
    tokens = source.tokens.masked_fill(moved(after, source.tokens.device), PAD_ID)
    return replace(source, tokens=tokens, lengths=lengths)


def parameters_by_part(model: nn.Module) -> dict[str, tuple[int, int]]:
    """(number of weights, number of biases) of each top-level part; the paper counts weights."""
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
