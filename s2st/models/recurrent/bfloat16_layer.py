"""A recurrent layer whose matrix products are in bfloat16, on a CPU, with gradients.

torch's autocast also multiplies in bfloat16. But it rounds the LSTM's states to bfloat16, and sums
the gradients of a GRU's weights over the steps in bfloat16. Here every product is in bfloat16: one
product multiplies the inputs of all positions, one product per step multiplies the state, and one
product per weight matrix gives the gradient of that matrix. The products sum in float32. Gates,
states and their gradients are float32. The weights stay float32, and each call converts them once.

The formulas are those of `cell_formulas.py`. As in `packed_lstm.py`, positions that read the same
word can share its product; the gradients of such positions are summed in float32.

Letters: N sentences, longest first, P positions of all sentences, U distinct words, E input width,
H width, G width of all gates. The P positions are ordered by time, then by sentence.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from s2st.models.recurrent.bfloat16_cells import CELLS
from s2st.process.device import has_bfloat16

MOST_WORDS = 0.65  # distinct words per position; with more, sharing products saves no time
FEWEST_STEPS = 2  # autocast keeps converted weights between calls, which is faster for single steps


def multiplies_in_bfloat16(layer: nn.Module, steps: int) -> bool:
    """Whether `run_layer` can run a layer of torch here: autocast to bfloat16 on a CPU."""
    return steps >= FEWEST_STEPS and autocasts(layer.get_parameter("weight_hh_l0"))


def autocasts(weight: torch.Tensor) -> bool:
    """Whether products of a float32 weight are in bfloat16 now, on a CPU that multiplies in it."""
    return (
        torch.is_autocast_enabled("cpu")
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and has_bfloat16(weight.device)
    )


def run_layer(
    cell: str,
    layer: nn.Module,
    inputs: torch.Tensor,
    counts: Sequence[int],
    state: tuple[torch.Tensor, ...] | None,
    rows: torch.Tensor | None = None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Run one of torch's recurrent layers over sentences of different lengths.

    Args:
        cell: "lstm", "gru" or "rnn".
        layer: the weights, float32.
        inputs: (P, E) bfloat16 or float32; with `rows`, (U, E) embeddings of the distinct words.
        counts: number of sentences at each time; never increases.
        state: (N, H) hidden state and, for the LSTM, cell state before the first position; None for
            zeros.
        rows: (P,) the distinct word at each position; None if each position has an input.

    Returns:
        (P, H) bfloat16 hidden states, and float32 (N, H) each, the state after each sentence's last
        position.
    """
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [layer.get_parameter(name) for name in names]
    if state is None:
        zeros = weights[1].new_zeros(counts[0], weights[1].shape[1])
        state = (zeros,) * CELLS[cell].planes
    apply: Any = _Layer.apply  # only some releases of torch have a type here
    with torch.autocast("cpu", enabled=False):
        outputs, *final = apply(
            cell, counts, rows, inputs, *weights, *(part.float() for part in state)
        )
    return outputs, tuple(final)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        cell: str,
        counts: Sequence[int],
        rows: torch.Tensor | None,
        inputs: torch.Tensor,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        input_bias: torch.Tensor,
        state_bias: torch.Tensor,
        *state: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        ctx.input_dtype = inputs.dtype
        inputs, of_input, of_state = (x.bfloat16() for x in (inputs, of_input, of_state))
        formulas = CELLS[cell](sum(counts), of_state.shape[1])
        bias = formulas.input_bias(input_bias, state_bias)
        products = F.linear(inputs, of_input, bias.bfloat16())
        outputs = products.new_empty(sum(counts), of_state.shape[1])
        current = state
        read = state[0].bfloat16()
        ended: list[tuple[torch.Tensor, ...]] = []
        for span in _spans(counts):
            count = span.stop - span.start
            if count < len(read):
                ended.append(tuple(plane[count:] for plane in current))
                read, current = read[:count], tuple(plane[:count] for plane in current)
            product = F.linear(read, of_state)
            own = products[span] if rows is None else products.index_select(0, rows[span])
            current = formulas.step(span, own, product, state_bias, current)
            read = outputs[span].copy_(current[0])
        ended.append(current)
        ctx.counts, ctx.rows, ctx.formulas = counts, rows, formulas
        ctx.save_for_backward(inputs, of_input, of_state, outputs, *state)
        return outputs, *(torch.cat(planes[::-1]) for planes in zip(*ended, strict=True))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_outputs: torch.Tensor, *of_final: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        counts, formulas = ctx.counts, ctx.formulas
        inputs, of_input, of_state, outputs, *state = ctx.saved_tensors
        spans = _spans(counts)
        starts = [0, *(span.start for span in spans)]
        transposed = of_state.t().contiguous()
        gradients = tuple(part.clone() for part in of_final)
        formulas.start_back()
        for index in reversed(range(len(spans))):
            span = spans[index]
            count = span.stop - span.start
            first = slice(starts[index], starts[index] + count)
            before = tuple(plane[:count] for plane in state) if not index else None
            current = tuple(part[:count] for part in gradients)
            current[0].add_(of_outputs[span])
            errors = formulas.step_back(span, first, before, current)
            of_hidden = F.linear(errors, transposed)
            if formulas.carries_hidden:
                current[0].add_(of_hidden)
            else:
                current[0].copy_(of_hidden)
        previous = [
            outputs[start : start + n] for start, n in zip(starts[1:], counts[1:], strict=False)
        ]
        read = torch.cat([state[0].bfloat16(), *previous])
        of_products, of_states = formulas.errors
        if ctx.rows is not None:
            of_products = _sums_by_word(of_products, ctx.rows, len(inputs))
        of_inputs = None
        if ctx.needs_input_grad[3]:
            of_inputs = F.linear(of_products, of_input.t()).to(ctx.input_dtype)
        input_bias, state_bias = (bias.clone() for bias in formulas.bias_errors)
        weights = (_weight_gradient(of_products, inputs), _weight_gradient(of_states, read))
        return (None, None, None, of_inputs, *weights, input_bias, state_bias, *gradients)


def _spans(counts: Sequence[int]) -> list[slice]:
    """The positions of each time."""
    ends = list(accumulate(counts))
    return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


def _sums_by_word(errors: torch.Tensor, rows: torch.Tensor, words: int) -> torch.Tensor:
    """(U, G) bfloat16 for each word the sum of the errors (P, G) of its positions."""
    sums = errors.new_zeros(words, errors.shape[1], dtype=torch.float32)
    return sums.index_add_(0, rows, errors.float()).bfloat16()


def _weight_gradient(errors: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """The float32 gradient (G, E) of weights whose products of inputs (P, E) have errors (P, G)."""
    return F.linear(errors.t(), inputs.t()).float()
