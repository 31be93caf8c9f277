"""A GRU layer on a CPU, with gradients, made of oneDNN's packed products.

torch's GRU calls the general matrix product at every step. That takes twice as long as oneDNN's on
some CPUs. As in `packed_lstm.py`, positions that read the same word can share its product.

Letters: N sentences, longest first, P positions of all sentences, U distinct words, E input width,
H width. The P positions are ordered by time, then by sentence.
"""

from typing import Any

import torch

from s2st.models.packed.packed_linear import PackedWeight, multiply
from s2st.models.recurrent.packed_positions import (
    Words,
    last_states,
    recurrent_inputs,
    states_before,
    sums_by_word,
    weight_gradient,
)


def run_gru(
    layer: torch.nn.Module, inputs: torch.Tensor, words: Words, state: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run an `nn.GRU` of one layer.

    Args:
        layer: the weights.
        inputs: (U, E) embeddings of the distinct words, or (P, E).
        words: the positions.
        state: (N, H) before the first position; None for zeros.

    Returns:
        (P, H) hidden states, and (N, H) the state after each sentence's last position.
    """
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [layer.get_parameter(name) for name in names]
    if state is None:
        state = inputs.new_zeros(words.counts[0], weights[1].shape[1])
    apply: Any = _GRU.apply  # only some releases of torch have a type here
    outputs, final = apply(words, inputs, *weights, state)
    return outputs, final


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        words: Words,
        inputs: torch.Tensor,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        input_bias: torch.Tensor,
        state_bias: torch.Tensor,
        hidden: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        products = multiply(inputs, of_input).add_(input_bias)
        packed = PackedWeight(of_state, state_bias, torch.float32)
        gates, inner, outputs = _steps(words, products, packed, hidden)
        ctx.words = words
        ctx.save_for_backward(inputs, of_input, of_state, hidden, gates, inner, outputs)
        return outputs, last_states(outputs, words)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_outputs: torch.Tensor, of_final: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        words: Words = ctx.words
        inputs, of_input, of_state, hidden, gates, inner, outputs = ctx.saved_tensors
        before = states_before(outputs, hidden, words)
        of_hidden = of_final.clone()
        _steps_back(words, of_state, gates, inner, before, of_outputs, of_hidden)
        split = 2 * of_hidden.shape[1]
        # now gradients of sums; oneDNN is hundreds of times slower with rows that are not adjacent
        errors = (gates[:, :split].contiguous(), inner)
        recurrent = torch.cat([weight_gradient(part, before) for part in errors])
        recurrent_bias = torch.cat([part.sum(dim=0) for part in errors])
        summed = sums_by_word(gates, words, len(inputs))
        of_inputs = multiply(summed, of_input.t()) if ctx.needs_input_grad[1] else None
        weights = weight_gradient(summed, inputs), recurrent, summed.sum(dim=0), recurrent_bias
        return (None, of_inputs, *weights, of_hidden)


def _steps(
    words: Words, products: torch.Tensor, packed: PackedWeight, hidden: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The values of the gates (P, 3H), the recurrent sums inside n (P, H), and states (P, H)."""
    positions, width = words.positions, hidden.shape[1]
    gates = products if words.rows is None else products.new_empty(positions, products.shape[1])
    inner, outputs = (products.new_empty(positions, width) for _ in range(2))
    for span in words.spans():
        hidden = hidden[: span.stop - span.start]
        values = recurrent_inputs(products, words, gates, span)
        recurrent = packed(hidden)
        values[:, : 2 * width].add_(recurrent[:, : 2 * width]).sigmoid_()
        r, z, n = values.split(width, dim=1)
        inner[span].copy_(recurrent[:, 2 * width :])
        n.addcmul_(r, inner[span])
        n.add_(n).sigmoid_()  # tanh(x) = 2 sigmoid(2x) - 1
        n.add_(n).sub_(1.0)
        hidden = torch.lerp(n, hidden, z, out=outputs[span])
    return gates, inner, outputs


def _steps_back(
    words: Words,
    of_state: torch.Tensor,
    gates: torch.Tensor,
    inner: torch.Tensor,
    before: torch.Tensor,
    of_outputs: torch.Tensor,
    of_hidden: torch.Tensor,
) -> None:
    """Replaces the values of `gates` and `inner` by the gradients of their sums.

    Args:
        of_state: (3H, H) the recurrent weights.
        gates: (P, 3H).
        inner: (P, H).
        before: (P, H) hidden states before each position.
        of_outputs: (P, H) gradient of the hidden states.
        of_hidden: (N, H) gradient of each sentence's last state; becomes that of the first.
    """
    packed = PackedWeight(of_state.t().contiguous(), None, torch.float32)
    through_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
    through_tanh = torch.ops.aten.tanh_backward.grad_input
    width = of_hidden.shape[1]
    work = torch.empty_like(gates[: len(of_hidden)])  # stays in the cache
    for span in reversed(words.spans()):
        open_rows = span.stop - span.start
        values, errors = gates[span], work[:open_rows]
        r, z, n = values.split(width, dim=1)
        of_r, of_z, of_n = errors.split(width, dim=1)
        hidden = of_hidden[:open_rows]
        hidden.add_(of_outputs[span])
        torch.mul(hidden, before[span] - n, out=of_z)
        torch.addcmul(hidden, hidden, z, value=-1, out=of_n)
        through_tanh(of_n, n, grad_input=of_n)
        torch.mul(of_n, inner[span], out=of_r)
        through_sigmoid(
            errors[:, : 2 * width], values[:, : 2 * width], grad_input=errors[:, : 2 * width]
        )
        torch.mul(of_n, r, out=inner[span])
        hidden.mul_(z)
        values.copy_(errors)
        of_n.copy_(inner[span])
        hidden.add_(packed(errors))
