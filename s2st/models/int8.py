"""Matrix products with int8 weights and inputs, for scoring and search on CPUs.

Weights are rounded to 127 steps a side, one scale an output; inputs likewise, one scale a row,
at every call. Products are summed exactly in int32. On a CPU with int8 dot products (VNNI) this is
several times as fast as float32; what it costs in log-probability the benchmarks print.
"""

import torch
from torch import nn

from s2st.errors import UsageError

STEPS = 127


class Int8Weight(nn.Module):
    """y = x W^T + b with W in int8.

    Args:
        weight: (out, in) float; it is not kept.
        bias: (out,) or None.
    """

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        rounded, scale = round_rows(weight.detach())
        self.register_buffer("weight", rounded)
        self.register_buffer("scale", scale.squeeze(1))
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, out) of inputs (N, in)."""
        rounded, scale = round_rows(inputs)
        result = product(rounded, self.weight).mul_(self.scale).mul_(scale)
        return result if self.bias is None else result.add_(self.bias)


def round_rows(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(int8 values, scale (N, 1)) of float values (N, M): values are about rounded * scale."""
    scale = values.abs().amax(dim=1, keepdim=True).clamp_(min=1e-30).div_(STEPS)
    return (values / scale).round_().to(torch.int8), scale


def product(inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """inputs (N, M) times weight (V, M) transposed, both int8, as float."""
    return torch._int_mm(inputs, weight.t()).float()


def require_int8(device: torch.device) -> None:
    """Raises UsageError where int8 products do not exist."""
    if device.type != "cpu":
        raise UsageError("--precision int8 is for CPUs; on a GPU bfloat16 is the fast one")
    if not hasattr(torch, "_int_mm"):
        raise UsageError(f"--precision int8 needs a newer torch than {torch.__version__}")
