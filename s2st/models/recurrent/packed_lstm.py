"""An LSTM layer over words on a CPU, with gradients: each distinct word is multiplied once.

torch's LSTM multiplies the input weights by the embedding at every position. Here positions that
read the same word share the product. The backward pass first sums the gradients of such positions,
so that the products for the gradients of input weights and embeddings have one row per distinct
word too. Positions after the end of a sentence are not computed.

Products are oneDNN's packed ones. The formulas are those of `cell_formulas.py`.

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
    tanh,
    weight_gradient,
)

Pair = tuple[torch.Tensor, torch.Tensor]  # hidden and cell states


def run_lstm(
    layer: torch.nn.Module, inputs: torch.Tensor, words: Words, state: Pair | None
) -> tuple[torch.Tensor, Pair]:
    """Run an `nn.LSTM` of one layer.

    Args:
        layer: the weights.
        inputs: (U, E) embeddings of the distinct words, or (P, E).
        words: the positions.
        state: (N, H) each, before the first position; None for zeros.

    Returns:
        (P, H) hidden states, and (N, H) each, the state after each sentence's last position.
    """
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [layer.get_parameter(name) for name in names]
    apply: Any = _WordLSTM.apply  # only some releases of torch have a type here
    outputs, hidden, cell = apply(words, inputs, *weights, *(state or (None, None)))
    return outputs, (hidden, cell)


class _WordLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        words: Words,
        inputs: torch.Tensor,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        input_bias: torch.Tensor,
        state_bias: torch.Tensor,
        hidden: torch.Tensor | None,
        cell: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        products = multiply(inputs, of_input).add_(input_bias + state_bias)
        state = None if hidden is None or cell is None else (hidden, cell)
        gates, cells, outputs = _steps(words, products, of_state, state)
        ctx.words = words
        ctx.save_for_backward(inputs, of_input, of_state, hidden, cell, gates, cells, outputs)
        return outputs, last_states(outputs, words), last_states(cells, words)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_outputs: torch.Tensor, of_hidden: torch.Tensor, of_cell: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        words: Words = ctx.words
        inputs, of_input, of_state, hidden, cell, gates, cells, outputs = ctx.saved_tensors
        from_zeros = hidden is None
        of_hidden, of_cell = of_hidden.clone(), of_cell.clone()
        before = states_before(cells, torch.zeros_like(of_cell) if from_zeros else cell, words)
        ends = (of_hidden, of_cell)
        _steps_back(words, of_state, gates, cells, before, of_outputs, ends, from_zeros)
        errors = gates  # now the gradient of the gates' sums
        before = states_before(outputs, outputs[:0] if from_zeros else hidden, words)
        recurrent = weight_gradient(errors[len(errors) - len(before) :], before)
        summed = sums_by_word(errors, words, len(inputs))
        bias = summed.sum(dim=0)
        needed = ctx.needs_input_grad[1]
        of_inputs = multiply(summed, of_input.t()) if needed else None
        weights = weight_gradient(summed, inputs), recurrent, bias, bias.clone()
        return (None, of_inputs, *weights, *((None, None) if from_zeros else ends))


def _steps(
    words: Words,
    products: torch.Tensor,
    of_state: torch.Tensor,
    state: Pair | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The values of the gates (P, 4H), and cell and hidden states (P, H)."""
    packed = PackedWeight(of_state, None, torch.float32)
    positions, width = words.positions, of_state.shape[1]
    gates = products if words.rows is None else products.new_empty(positions, products.shape[1])
    cells, outputs = (products.new_empty(positions, width) for _ in range(2))
    hidden, cell = state or (None, products.new_zeros(words.counts[0], width))
    for span in words.spans():
        open_rows = span.stop - span.start
        values = recurrent_inputs(products, words, gates, span)
        if hidden is not None:
            values.add_(packed(hidden[:open_rows]))
        i, f, g, o = values.split(width, dim=1)
        g.add_(g)
        values.sigmoid_()
        g.add_(g).sub_(1.0)
        cell = torch.mul(f, cell[:open_rows], out=cells[span]).addcmul_(i, g)
        hidden = torch.mul(o, tanh(cell), out=outputs[span])
    return gates, cells, outputs


def _steps_back(
    words: Words,
    of_state: torch.Tensor,
    gates: torch.Tensor,
    cells: torch.Tensor,
    before: torch.Tensor,
    of_outputs: torch.Tensor,
    of_ends: Pair,
    from_zeros: bool,
) -> None:
    """Replaces the gates' values by the gradient of their sums, and the last states' by the first.

    Args:
        of_state: (4H, H) the recurrent weights.
        gates: (P, 4H).
        cells, before: (P, H) cell states after and before each position.
        of_outputs: (P, H) gradient of the hidden states.
        of_ends: (N, H) each, gradient of the last state of each sentence.
        from_zeros: whether the first hidden state is 0, and needs no gradient.
    """
    packed = PackedWeight(of_state.t().contiguous(), None, torch.float32)
    through_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
    through_tanh = torch.ops.aten.tanh_backward.grad_input
    of_hidden, of_cell = of_ends
    width = of_hidden.shape[1]
    work = torch.empty_like(gates[: len(of_hidden)])  # stays in the cache
    for span in reversed(words.spans()):
        open_rows = span.stop - span.start
        i, f, g, o = gates[span].split(width, dim=1)
        of_gates = work[:open_rows]
        of_i, of_f, of_g, of_o = of_gates.split(width, dim=1)
        hidden, cell = of_hidden[:open_rows], of_cell[:open_rows]
        hidden.add_(of_outputs[span])
        shown = tanh(cells[span])
        torch.mul(hidden, shown, out=of_o)
        cell.add_(through_tanh(hidden.mul_(o), shown, grad_input=hidden))
        torch.mul(cell, g, out=of_i)
        torch.mul(cell, before[span], out=of_f)
        torch.mul(cell, i, out=of_g)
        cell.mul_(f)
        first = gates[span][:, : 2 * width]
        through_sigmoid(of_gates[:, : 2 * width], first, grad_input=first)
        through_tanh(of_g, g, grad_input=g)
        through_sigmoid(of_o, o, grad_input=o)
        if span.start or not from_zeros:
            hidden.copy_(packed(gates[span]))
