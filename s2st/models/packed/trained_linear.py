"""Linear layers with gradients whose products run in oneDNN on a CPU.

torch's own float32 products take twice as long as oneDNN's on AMD's processors, and 15 to 20 %
longer on others. The three products of a linear layer (output, gradient of the input, gradient of
the weight) therefore call oneDNN, where `uses_onednn` allows it. Elsewhere they are torch's.
"""

from typing import Any

import torch
import torch.nn.functional as F

from s2st.models.packed.packed_linear import PACKED_ROWS, can_pack, multiply


def linear(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    relu: bool = False,
) -> torch.Tensor:
    """(..., out) of inputs (..., in): inputs @ weight.T + bias, then max(0, .) if `relu`.

    Args:
        inputs: (..., in).
        weight: (out, in).
        bias: (out,) or None.
        relu: whether to apply the rectifier in the same pass over the memory.
    """
    if not uses_onednn(inputs, weight):
        outputs = F.linear(inputs, weight, bias)
        return torch.relu(outputs) if relu else outputs
    apply: Any = _Linear.apply  # only some releases of torch have a type here
    outputs = apply(inputs.flatten(0, -2), weight, bias, relu)
    result: torch.Tensor = outputs.view(*inputs.shape[:-1], len(weight))
    return result


def uses_onednn(inputs: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether `linear` calls oneDNN: float32 on a CPU, without autocast, and enough rows."""
    return (
        inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.dim() > 1
        and inputs.shape[:-1].numel() >= PACKED_ROWS
        and not torch.is_autocast_enabled("cpu")
        and can_pack()
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        relu: bool,
    ) -> torch.Tensor:
        product = torch.ops.mkldnn._linear_pointwise
        outputs: torch.Tensor = product(inputs, weight, bias, "relu" if relu else "none", [], "")
        ctx.save_for_backward(inputs, weight, outputs if relu else None)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight, rectified = ctx.saved_tensors
        if rectified is not None:
            of_outputs = torch.ops.aten.threshold_backward(of_outputs, rectified, 0)
        of_inputs = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_inputs = multiply(of_outputs, weight.t())
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(of_outputs, inputs)
        if ctx.needs_input_grad[2]:
            of_bias = of_outputs.sum(dim=0)
        return of_inputs, of_weight, of_bias, None


def weight_gradient(of_outputs: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """(out, in) the sum over N rows of of_outputs (N, out) times inputs (N, in).

    The narrower side is the product's first operand, which is faster.
    """
    if of_outputs.shape[1] <= inputs.shape[1]:
        return multiply(of_outputs.t(), inputs.t())
    return multiply(inputs.t(), of_outputs.t()).t()
