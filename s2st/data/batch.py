"""Batches: right-padded id tensors, batch first. B sentences, S source and T target length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch

from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID


@dataclass(frozen=True)
class SourceBatch:
    """Source sentences.

    Attributes:
        tokens: (B, S) int64 ids, each sentence followed by EOS, then padding.
        lengths: (B,) int64 on the CPU, EOS counted.
        line_ids: index of each sentence in its file or split, from 0.
        prefixes: target ids that each sentence's hypotheses begin with; empty where none has to.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    line_ids: tuple[int, ...]
    prefixes: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def to(self, device: torch.device) -> "SourceBatch":
        """The batch with its tokens on a device."""
        return replace(self, tokens=moved(self.tokens, device))

    def copied(self) -> "SourceBatch":
        """The batch with tensors of its own, for code that may write into them."""
        return replace(self, tokens=self.tokens.clone(), lengths=self.lengths.clone())

    def with_absent_source(self) -> "SourceBatch":
        """As many empty sources: what a language model is given."""
        tokens = torch.full((len(self), 1), EOS_ID, device=self.tokens.device)
        return replace(self, tokens=tokens, lengths=torch.ones_like(self.lengths))


@dataclass(frozen=True)
class Batch:
    """Sentence pairs for teacher forcing.

    Attributes:
        source: the source sentences.
        target_in: (B, T) ids from BOS to the last word, then padding.
        target_out: (B, T) ids from the first word to EOS, then padding.
        target_lengths: (B,) int64 on the CPU, EOS counted.
    """

    source: SourceBatch
    target_in: torch.Tensor
    target_out: torch.Tensor
    target_lengths: torch.Tensor

    def __len__(self) -> int:
        return len(self.source)

    @property
    def target_tokens(self) -> int:
        """Real target positions, EOS counted."""
        return int(self.target_lengths.sum())

    @property
    def source_tokens(self) -> int:
        """Real source positions, EOS counted."""
        return int(self.source.lengths.sum())

    def to(self, device: torch.device) -> "Batch":
        """The batch with its ids on a device."""
        return Batch(
            self.source.to(device),
            moved(self.target_in, device),
            moved(self.target_out, device),
            self.target_lengths,
        )

    def copied(self) -> "Batch":
        """The batch with tensors of its own, for code that may write into them."""
        return Batch(
            self.source.copied(),
            self.target_in.clone(),
            self.target_out.clone(),
            self.target_lengths.clone(),
        )

    def target_mask(self) -> torch.Tensor:
        """(B, T) True at real target positions, on the batch's device."""
        positions = torch.arange(self.target_out.shape[1])
        mask = positions.unsqueeze(0) < self.target_lengths.unsqueeze(1)
        return moved(mask, self.target_out.device)

    def target_positions(self) -> torch.Tensor:
        """(P,) places of the real target positions in the flattened (B x T), on its device.

        They are made on the CPU: to select by a mask, a GPU would have to be waited for.
        """
        places = torch.arange(self.target_out.shape[1]).unsqueeze(0)
        real = (places < self.target_lengths.unsqueeze(1)).flatten()
        return moved(real.nonzero().squeeze(1), self.target_out.device)


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device; from the CPU to a GPU without waiting for either."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pad_rows(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, longest) right-padded ids and (B,) lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    padded = np.full((len(rows), lengths.max(initial=0)), PAD_ID, dtype=np.int64)
    real = np.arange(padded.shape[1]) < lengths[:, np.newaxis]
    padded[real] = np.fromiter(chain.from_iterable(rows), np.int64, lengths.sum())
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def make_source(rows: Sequence[Sequence[int]], line_ids: Sequence[int]) -> SourceBatch:
    """A source batch from sentences of ids without EOS."""
    return source_of(*pad_rows(rows), line_ids)


def make_batch(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], line_ids: Sequence[int]
) -> Batch:
    """A batch from pairs of ids without BOS or EOS."""
    return batch_of(make_source(sources, line_ids), *pad_rows(targets))


def source_of(words: torch.Tensor, lengths: torch.Tensor, line_ids: Sequence[int]) -> SourceBatch:
    """A source batch from (B, W) right-padded ids and (B,) lengths, both without EOS."""
    return SourceBatch(_ended(words, lengths), lengths + 1, tuple(line_ids))


def batch_of(source: SourceBatch, words: torch.Tensor, lengths: torch.Tensor) -> Batch:
    """A batch from sources and (B, W) right-padded target ids and (B,) lengths, without EOS."""
    begun = torch.nn.functional.pad(words, (1, 0), value=BOS_ID)
    return Batch(source, begun, _ended(words, lengths), lengths + 1)


def _ended(words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """(B, W + 1) ids with EOS behind each row's last word."""
    longer = torch.nn.functional.pad(words, (0, 1), value=PAD_ID)
    return longer.scatter_(1, lengths.unsqueeze(1), EOS_ID)
