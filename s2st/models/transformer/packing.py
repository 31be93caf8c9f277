"""Real positions of a padded batch, side by side, for work that needs no padding.

Letters: B sentences, T positions of the longest, P real positions of all sentences.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from s2st.data.batch import moved


@dataclass(frozen=True)
class Packing:
    """Which positions of a padded batch (B, T) are real.

    Attributes:
        shape: (B, T).
        places: (P,) real positions in the flattened batch; None if all are real.
        padding: (B x T - P,) the other positions.
        sources: (B x T,) for each position, the packed row that it takes. Padding takes any row:
            nobody may read it.
        mask: (B, T) True at real positions.
    """

    shape: tuple[int, int]
    places: torch.Tensor | None = None
    padding: torch.Tensor | None = None
    sources: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @property
    def indices(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """`places`, `padding` and `sources`; None if all positions are real."""
        if self.places is None or self.padding is None or self.sources is None:
            return None
        return self.places, self.padding, self.sources

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """(P, ...) the real positions of (B, T, ...)."""
        flat = padded.flatten(0, 1)
        if self.indices is None:
            return flat
        apply: Any = _Pack.apply
        packed: torch.Tensor = apply(flat, *self.indices)
        return packed

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """(B, T, H) of packed rows (P, H). Padding has finite numbers that mean nothing.

        The gradient at padding must be 0.
        """
        if self.indices is None:
            return packed.view(*self.shape, -1)
        apply: Any = _Unpack.apply
        padded: torch.Tensor = apply(packed, *self.indices)
        return padded.view(*self.shape, -1)


def packing_of(lengths: torch.Tensor, width: int, device: torch.device) -> Packing:
    """The packing of sentences of these lengths.

    The CPU computes the indices, so that a GPU is not waited for.

    Args:
        lengths: (B,) int64 on the CPU.
        width: T.
        device: where the batch is.
    """
    shape = (len(lengths), width)
    real = torch.arange(width) < lengths.unsqueeze(1)
    if bool(real.all()):
        return Packing(shape)
    flat = real.flatten()
    indices = flat.nonzero().squeeze(1), (~flat).nonzero().squeeze(1)
    sources = (flat.cumsum(0) - 1).clamp_(min=0)
    return Packing(shape, *(moved(part, device) for part in (*indices, sources, real)))


class _Pack(torch.autograd.Function):
    """Real positions of a flattened batch; the gradient at padding is 0."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, *indices: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*indices[1:])
        return padded.index_select(0, indices[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_packed: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        padding, sources = ctx.saved_tensors
        # looked up and cleared: on a CPU that takes half the time of writing into zeros
        padded = F.embedding(sources, of_packed).index_fill_(0, padding, 0)
        return padded, None, None, None


class _Unpack(torch.autograd.Function):
    """The inverse of `_Pack`; padding repeats real positions."""

    @staticmethod
    def forward(ctx: Any, packed: torch.Tensor, *indices: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(indices[0])
        return F.embedding(indices[2], packed)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_padded: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (places,) = ctx.saved_tensors
        return of_padded.index_select(0, places), None, None, None
