"""Batches: right-padded id tensors, batch first. B sentences, S source and T target length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID


@dataclass(frozen=True)
class SourceBatch:
    """Source sentences.

    Attributes:
        tokens: (B, S) int64 ids, each sentence followed by EOS, then padding.
        lengths: (B,) int64 on the CPU, EOS counted.
        line_ids: index of each sentence in its file or split, from 0.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    line_ids: tuple[int, ...]

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def to(self, device: torch.device) -> "SourceBatch":
        """The batch with its tokens on a device."""
        return replace(self, tokens=self.tokens.to(device, non_blocking=True))


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
            self.target_in.to(device, non_blocking=True),
            self.target_out.to(device, non_blocking=True),
            self.target_lengths,
        )

    def target_mask(self) -> torch.Tensor:
        """(B, T) True at real target positions, on the batch's device."""
        positions = torch.arange(self.target_out.shape[1])
        mask = positions.unsqueeze(0) < self.target_lengths.unsqueeze(1)
        return mask.to(self.target_out.device)


def pad_rows(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, longest) right-padded ids and (B,) lengths."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    width = int(lengths.max()) if len(rows) else 0
    padded = torch.full((len(rows), width), PAD_ID, dtype=torch.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.as_tensor(row, dtype=torch.int64)
    return padded, lengths


def make_source(rows: Sequence[Sequence[int]], line_ids: Sequence[int]) -> SourceBatch:
    """A source batch from sentences of ids without EOS."""
    tokens, lengths = pad_rows([[*row, EOS_ID] for row in rows])
    return SourceBatch(tokens, lengths, tuple(line_ids))


def make_batch(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], line_ids: Sequence[int]
) -> Batch:
    """A batch from pairs of ids without BOS or EOS."""
    target_in, lengths = pad_rows([[BOS_ID, *row] for row in targets])
    target_out, _ = pad_rows([[*row, EOS_ID] for row in targets])
    return Batch(make_source(sources, line_ids), target_in, target_out, lengths)
