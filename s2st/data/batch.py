"""Batches of sentences as right-padded id tensors, and functions that build them.

Shapes: B sentences, S source length, T target length; the batch dimension comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch

from s2st.text.vector_lines import FIRST_VECTOR, VectorIds
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID


@dataclass(frozen=True)
class SourceBatch:
    """A batch of source sentences.

    Attributes:
        tokens: (B, S) int64 ids, each sentence followed by EOS, then padding.
        lengths: (B,) int64 lengths including EOS, on the CPU.
        line_ids: index of each sentence in its file or split, from 0.
        prefixes: target ids with which each sentence's hypotheses start; empty without prompts.
        constraints: phrases of target ids that each sentence's hypotheses must contain; empty if
            no sentence has any.
        vectors: for sources of vectors, (P, D) float32: row i is the input with the id
            FIRST_VECTOR + i. So a batch's ids are numbers in its own table. None for text.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    line_ids: tuple[int, ...]
    prefixes: tuple[tuple[int, ...], ...] = ()
    constraints: tuple[tuple[tuple[int, ...], ...], ...] = ()
    vectors: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def to(self, device: torch.device) -> "SourceBatch":
        """Return the batch with its tokens, or vectors, on a device."""
        vectors = None if self.vectors is None else moved(self.vectors, device)
        return replace(self, tokens=moved(self.tokens, device), vectors=vectors)

    def copied(self) -> "SourceBatch":
        """Return a batch with copied tensors, for code that may write into them."""
        vectors = None if self.vectors is None else self.vectors.clone()
        tokens, lengths = self.tokens.clone(), self.lengths.clone()
        return replace(self, tokens=tokens, lengths=lengths, vectors=vectors)

    def with_tag(self, tag: int) -> "SourceBatch":
        """Return the batch with the tag of a target language before each source."""
        tokens = torch.nn.functional.pad(self.tokens, (1, 0), value=tag)
        return replace(self, tokens=tokens, lengths=self.lengths + 1)

    def with_absent_source(self) -> "SourceBatch":
        """Return a batch of as many empty sources, the input of a language model."""
        tokens = torch.full((len(self), 1), EOS_ID, device=self.tokens.device)
        return replace(self, tokens=tokens, lengths=torch.ones_like(self.lengths), vectors=None)


@dataclass(frozen=True)
class Batch:
    """A batch of sentence pairs for teacher forcing.

    Attributes:
        source: the source sentences.
        target_in: (B, T) ids from BOS to the last word, then padding.
        target_out: (B, T) ids from the first word to EOS, then padding.
        target_lengths: (B,) int64 lengths including EOS, on the CPU.
        target_language: for models with several target languages; "" elsewhere.
    """

    source: SourceBatch
    target_in: torch.Tensor
    target_out: torch.Tensor
    target_lengths: torch.Tensor
    target_language: str = ""

    def __len__(self) -> int:
        return len(self.source)

    @property
    def target_tokens(self) -> int:
        """Number of target tokens, including EOS."""
        return int(self.target_lengths.sum())

    @property
    def source_tokens(self) -> int:
        """Number of source tokens, including EOS."""
        return int(self.source.lengths.sum())

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its ids on a device."""
        return Batch(
            self.source.to(device),
            moved(self.target_in, device),
            moved(self.target_out, device),
            self.target_lengths,
            self.target_language,
        )

    def copied(self) -> "Batch":
        """Return a batch with copied tensors, for code that may write into them."""
        return Batch(
            self.source.copied(),
            self.target_in.clone(),
            self.target_out.clone(),
            self.target_lengths.clone(),
            self.target_language,
        )

    def target_mask(self) -> torch.Tensor:
        """Return a (B, T) mask that is False at padding, on the batch's device."""
        positions = torch.arange(self.target_out.shape[1])
        mask = positions.unsqueeze(0) < self.target_lengths.unsqueeze(1)
        return moved(mask, self.target_out.device)

    def target_positions(self) -> torch.Tensor:
        """Return the (P,) indices of target tokens in the flattened (B x T), on its device.

        The CPU computes them: selecting by a mask on a GPU would wait for the GPU.
        """
        places = torch.arange(self.target_out.shape[1]).unsqueeze(0)
        real = (places < self.target_lengths.unsqueeze(1)).flatten()
        return moved(real.nonzero().squeeze(1), self.target_out.device)


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the tensor on a device; copy from CPU to GPU without waiting."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pad_rows(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (B, longest) right-padded ids and (B,) lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    padded = np.full((len(rows), lengths.max(initial=0)), PAD_ID, dtype=np.int64)
    real = np.arange(padded.shape[1]) < lengths[:, np.newaxis]
    padded[real] = np.fromiter(chain.from_iterable(rows), np.int64, lengths.sum())
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def make_source(rows: Sequence[Sequence[int]], line_ids: Sequence[int]) -> SourceBatch:
    """Build a source batch from sentences of ids without EOS, or of vectors (VectorIds)."""
    values = [row.values for row in rows if isinstance(row, VectorIds)]
    if not values:
        return source_of(*pad_rows(rows), line_ids)
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    return vector_source(np.concatenate(values), lengths, line_ids)


def make_batch(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], line_ids: Sequence[int]
) -> Batch:
    """Build a batch from pairs of ids without BOS and EOS."""
    return batch_of(make_source(sources, line_ids), *pad_rows(targets))


def source_of(words: torch.Tensor, lengths: torch.Tensor, line_ids: Sequence[int]) -> SourceBatch:
    """Build a source batch from (B, W) right-padded ids and (B,) lengths, both without EOS."""
    return SourceBatch(_with_eos(words, lengths), lengths + 1, tuple(line_ids))


def vector_source(
    values: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64], line_ids: Sequence[int]
) -> SourceBatch:
    """Build a source batch from vectors (P, D) of sentences one after the other, and (B,) lengths.

    The ids number the vectors of the batch.
    """
    padded = np.full((len(lengths), lengths.max(initial=0)), PAD_ID, dtype=np.int64)
    real = np.arange(padded.shape[1]) < lengths[:, np.newaxis]
    padded[real] = np.arange(FIRST_VECTOR, FIRST_VECTOR + len(values))
    source = source_of(torch.from_numpy(padded), torch.from_numpy(lengths), line_ids)
    return replace(source, vectors=torch.from_numpy(values))


def batch_of(source: SourceBatch, words: torch.Tensor, lengths: torch.Tensor) -> Batch:
    """Build a batch from sources, (B, W) right-padded target ids and (B,) lengths without EOS."""
    with_bos = torch.nn.functional.pad(words, (1, 0), value=BOS_ID)
    return Batch(source, with_bos, _with_eos(words, lengths), lengths + 1)


def _with_eos(words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return (B, W + 1) ids with EOS after the last word of each row."""
    longer = torch.nn.functional.pad(words, (0, 1), value=PAD_ID)
    return longer.scatter_(1, lengths.unsqueeze(1), EOS_ID)
