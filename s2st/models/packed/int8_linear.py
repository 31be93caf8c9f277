"""Matrix products with int8 weights and inputs, for scoring and search on CPUs.

Weights are rounded once to integers from -127 to 127, with one scale per output. Inputs are rounded
at every call, with one scale per row. Sums are exact int32. On a CPU with int8 dot products (VNNI)
this is several times as fast as float32. The benchmarks print the change of log-probability.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from s2st.errors import UsageError

STEPS = 127
ZERO = 128  # the zero point: oneDNN's inputs are unsigned


class Int8Weight(nn.Module):
    """y = x W^T + b with W in int8.

    Args:
        weight: (out, in) float; not kept.
        bias: (out,) or None.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        with torch.inference_mode():
            rounded, scale = round_rows(weight.detach().float())
            self._scale = scale.squeeze(1).contiguous()
            self._bias = None if bias is None else bias.detach().clone()
            self._exact = has_exact_products()
            self._weight = _packed(rounded) if self._exact else rounded

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, out) of inputs (N, in)."""
        rounded, scale = round_rows(inputs)
        if self._exact:
            result = _product(rounded, self._weight, self._scale)
        else:  # sums of integers below 2^24 are exact in float32
            result = F.linear(rounded, self._weight).mul_(self._scale)
        if self._bias is None:
            return result.mul_(scale)
        return torch.addcmul(self._bias, result, scale, out=result)


def round_rows(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers from -127 to 127, and scales (N, 1); their product approximates values (N, M)."""
    scale = values.abs().amax(dim=1, keepdim=True).clamp_(min=1e-30).div_(STEPS)
    return (values / scale).round_(), scale


def _packed(rounded: torch.Tensor) -> torch.Tensor:
    """Integers (out, in) in oneDNN's packed order."""
    packed: torch.Tensor = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)
    return packed


def _product(rounded: torch.Tensor, packed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """(N, out) float products of integers (N, in) and packed integers, times scale (out,)."""
    zeros = torch.zeros(len(scale), dtype=torch.int64)
    # plus ZERO by one bit: converting to int8 takes a fifth of the time of converting to uint8
    unsigned = rounded.to(torch.int8).view(torch.uint8).bitwise_xor_(ZERO)
    result: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
        unsigned, 1.0, ZERO, packed, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return result


@cache
def has_exact_products() -> bool:
    """Whether oneDNN has int8 products that are exact on this CPU: without VNNI they saturate."""
    if not hasattr(torch.ops.onednn, "qlinear_prepack"):
        return False
    with torch.inference_mode():
        largest = torch.full((2, 64), float(STEPS))
        try:
            found = _product(largest, _packed(torch.cat([largest, -largest])), torch.ones(4))
        except RuntimeError:
            return False
        expected = 64.0 * STEPS * STEPS
        return bool((found == torch.tensor([1.0, 1.0, -1.0, -1.0]) * expected).all())


def require_int8(device: torch.device) -> None:
    """Raises UsageError unless the device is a CPU."""
    if device.type != "cpu":
        raise UsageError("--precision int8 works on CPUs only; on a GPU use --precision bfloat16")
