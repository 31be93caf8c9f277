"""Matrix products with int8 weights and inputs, for scoring and search on CPUs.

Weights are rounded to 127 steps a side, one scale an output; inputs likewise, one scale a row,
at every call. Products are summed exactly in int32. On a CPU with int8 dot products (VNNI) this is
several times as fast as float32; what it costs in log-probability the benchmarks print.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from s2st.errors import UsageError

STEPS = 127
ZERO = 128  # oneDNN's inputs have no sign: this stands for 0


class Int8Weight(nn.Module):
    """y = x W^T + b with W in int8.

    Args:
        weight: (out, in) float; it is not kept.
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
        else:  # sums of whole numbers below 2^24 are exact in float32
            result = F.linear(rounded, self._weight).mul_(self._scale)
        result.mul_(scale)
        return result if self._bias is None else result.add_(self._bias)


def round_rows(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(whole numbers from -127 to 127, scale (N, 1)) whose product is about values (N, M)."""
    scale = values.abs().amax(dim=1, keepdim=True).clamp_(min=1e-30).div_(STEPS)
    return (values / scale).round_(), scale


def _packed(rounded: torch.Tensor) -> torch.Tensor:
    """Whole numbers (out, in) as oneDNN reads them."""
    packed: torch.Tensor = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)
    return packed


def _product(rounded: torch.Tensor, packed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """(N, out) float products of whole numbers (N, in) with packed ones, times scale (out,)."""
    zeros = torch.zeros(len(scale), dtype=torch.int64)
    unsigned = (rounded + ZERO).to(torch.uint8)
    result: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
        unsigned, 1.0, ZERO, packed, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return result


@cache
def has_exact_products() -> bool:
    """Whether oneDNN's int8 products are there and right here: CPUs without VNNI saturate."""
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
    """Raises UsageError where int8 products do not exist."""
    if device.type != "cpu":
        raise UsageError("--precision int8 is for CPUs; on a GPU bfloat16 is the fast one")
