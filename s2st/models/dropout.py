"""Dropout that draws few random numbers, fused with the sum that follows it."""

from typing import Any

import torch
import torch.nn.functional as F

_HALF = 1 << 15  # a 16-bit integer is from -_HALF to _HALF - 1


def dropped(values: torch.Tensor, probability: float, training: bool) -> torch.Tensor:
    """Ordinary dropout of values."""
    if not _is_fast(values, probability, training):
        return F.dropout(values, probability, training)
    return values * _mask(values, probability)


def add_dropped(
    base: torch.Tensor, update: torch.Tensor, probability: float, training: bool
) -> torch.Tensor:
    """base + dropout(update)."""
    if not _is_fast(update, probability, training) or base.dtype != update.dtype:
        return base + dropped(update, probability, training)
    apply: Any = _AddMasked.apply
    result: torch.Tensor = apply(base, update, _mask(update, probability))
    return result


def _is_fast(values: torch.Tensor, probability: float, training: bool) -> bool:
    """Whether to use `_mask`: on a CPU torch's dropout takes several times as long."""
    return training and 0 < probability < 1 and values.device.type == "cpu"


def _mask(like: torch.Tensor, probability: float) -> torch.Tensor:
    """0 with the probability, rounded to a multiple of 2^-16, else 1 / (1 - probability).

    A random integer of 64 bits serves four numbers. torch's own generator draws it, so a seed
    repeats the mask.
    """
    dropped_values = min(max(round(probability * 2 * _HALF), 1), 2 * _HALF - 1)
    count = like.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    drawn = bits.view(torch.int16)[:count].view(like.shape)
    kept = torch.ge(drawn, dropped_values - _HALF, out=torch.empty_like(like, requires_grad=False))
    return kept.mul_(1 / (1 - dropped_values / (2 * _HALF)))


class _AddMasked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, base: torch.Tensor, update: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(mask)
        return torch.addcmul(base, update, mask)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (mask,) = ctx.saved_tensors
        return gradient, gradient * mask, None
