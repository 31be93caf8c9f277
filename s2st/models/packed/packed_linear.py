"""Matrix products for scoring and search, whose weights are packed once for many calls.

Each class computes y = x W^T + b. On a CPU a packed product stores W in the order in which oneDNN's
kernels read it. That saves most time when there are few rows, as in decoding.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from s2st.models.packed.int8_linear import Int8Weight
from s2st.process.device import has_bfloat16

PACKED_ROWS = 128  # number of rows for which oneDNN chooses the packed order


class PlainWeight(nn.Module):
    """The product by `F.linear`, on any device and in any data type.

    Args:
        weight: (out, in) float; shared, not copied.
        bias: (out,) or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach(), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.detach(), persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, out) of inputs (N, in)."""
        return F.linear(inputs, self.weight, self.bias)


class PackedWeight(nn.Module):
    """The product with a packed copy of W in float32 or bfloat16; sums are float32.

    Args:
        weight: (out, in) float32 on the CPU.
        bias: (out,) or None.
        dtype: data type of the copy.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        with torch.inference_mode():
            converted = weight.detach().to(dtype)
            self._weight = torch.ops.mkldnn._reorder_linear_weight(converted, PACKED_ROWS)
            self._bias = None if bias is None else bias.detach().to(dtype)

    def forward(self, inputs: torch.Tensor, relu: bool = False) -> torch.Tensor:
        """(N, out) float32 of inputs (N, in), rectified if asked for, without gradients."""
        linear = torch.ops.mkldnn._linear_pointwise
        result: torch.Tensor = linear(
            inputs.to(self.dtype), self._weight, self._bias, "relu" if relu else "none", [], ""
        )
        return result.float()


def multiplier(right: torch.Tensor, calls: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function of the left operand that computes `multiply(left, right)`.

    Args:
        right: (M, K).
        calls: how often the function will be called; `right` is packed once for several calls.
    """
    if calls > 1 and right.dtype == torch.float32 and right.device.type == "cpu" and can_pack():
        return PackedWeight(right, None, torch.float32)
    return partial(multiply, right=right)


def multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left (N, K) times the transpose of right (M, K), as (N, M), without gradients.

    Large float32 products on a CPU use oneDNN. It packs the operands at each call, and still takes
    less time than torch's own product.
    """
    large = len(left) >= PACKED_ROWS and left.dtype == torch.float32
    if large and left.numel() and left.device.type == "cpu" and can_pack():
        product = torch.ops.mkldnn._linear_pointwise
        result: torch.Tensor = product(left, right, None, "none", [], "")
        return result
    return F.linear(left, right)


def make_product(weight: torch.Tensor, bias: torch.Tensor | None, precision: str) -> nn.Module:
    """The fastest product for these weights on their device.

    Args:
        weight: (out, in).
        bias: (out,) or None.
        precision: "float32", "bfloat16" or "int8".
    """
    if precision == "int8":
        return Int8Weight(weight, bias)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and can_pack(dtype):
        return PackedWeight(weight, bias, dtype)
    return PlainWeight(weight, bias)


class PreparedLinear(nn.Linear):
    """A linear layer whose weights can be packed for scoring."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__(inputs, outputs, bias)
        self._prepared: nn.Module | None = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., outputs) of inputs (..., inputs)."""
        if self._prepared is None:
            return F.linear(inputs, self.weight, self.bias)
        outputs: torch.Tensor = self._prepared(inputs.flatten(0, -2))
        return outputs.view(*inputs.shape[:-1], self.out_features)

    def prepare(self, precision: str) -> None:
        """Packs the weights for scoring on a CPU in this precision, permanently."""
        self._prepared = make_product(self.weight, self.bias, precision)


def can_pack(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this torch has oneDNN's packed products, and this CPU supports the data type.

    torch refuses to pack bfloat16 on a CPU without bfloat16 instructions.
    """
    available: bool = torch.backends.mkldnn.is_available()
    if not available or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    return dtype != torch.bfloat16 or has_bfloat16(torch.device("cpu"))
