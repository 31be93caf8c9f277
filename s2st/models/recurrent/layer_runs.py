"""How one recurrent layer runs over its positions: torch's layer, packed products, or a loop.

The docstring of the package says which path runs when. `layer_stack.py` puts layers on each other.
A stretch is a part of the time in which the same sentences are open.

Letters: N sentences, T positions of each, U distinct words, E input width, H width.
"""

import torch
from torch import nn

from s2st.models.recurrent.bfloat16_layer import autocasts, multiplies_in_bfloat16
from s2st.models.recurrent.bfloat16_layer import run_layer as run_in_bfloat16
from s2st.models.recurrent.cell_formulas import UNFUSED
from s2st.models.recurrent.packed_gru import run_gru
from s2st.models.recurrent.packed_lstm import run_lstm
from s2st.models.recurrent.packed_positions import Words, can_share
from s2st.models.recurrent.unfused_layer import (
    NormedLayer,
    layer_parts,
    plain_product,
    run_loop,
)

FEWEST_TIMES = 3  # with fewer, packing the weights would cost more than packed products save
State = torch.Tensor | tuple[torch.Tensor, ...]  # the hx of torch's recurrent layers


def run_layer(
    cell: str,
    layer: nn.Module,
    inputs: torch.Tensor,
    state: State | None,
    mask: torch.Tensor | None,
) -> tuple[torch.Tensor, State]:
    """Run a layer by the fastest implementation that has what it needs.

    Args:
        cell: "lstm", "gru", "rnn" or "rnn-sigmoid".
        layer: the weights, of torch's layer or with layer normalization.
        inputs: (T, N, E).
        state: before the first position; None for zeros.
        mask: (N, H) of recurrent dropout; None without.

    Returns:
        (T, N, H) outputs, and the state after the last position.
    """
    if mask is None and not isinstance(layer, NormedLayer) and cell not in UNFUSED:
        if multiplies_in_bfloat16(layer, len(inputs)):
            return _run_bfloat16(cell, layer, inputs, state)
        if cell == "gru" and len(inputs) >= FEWEST_TIMES and can_share(inputs):
            rows = torch.Size(inputs.shape[:2])
            return run_positions("gru", layer, inputs.flatten(0, 1), None, rows, state)
        fused: tuple[torch.Tensor, State] = layer(inputs, state)
        return fused
    parts = layer_parts(layer, plain_product)
    if state is None:
        width = layer.get_parameter("weight_hh_l0").shape[1]
        zeros = inputs.new_zeros(1, inputs.shape[1], width)
        state = (zeros, zeros) if cell == "lstm" else zeros
    planes = state if isinstance(state, tuple) else (state,)
    outputs, planes = run_loop(cell, parts, inputs, planes, mask)
    return outputs, planes if cell == "lstm" else planes[0]


def _run_bfloat16(
    cell: str, layer: nn.Module, inputs: torch.Tensor, state: State | None
) -> tuple[torch.Tensor, State]:
    """`run_layer` with products in bfloat16."""
    shape = torch.Size(inputs.shape[:2])
    return _bfloat16_positions(cell, layer, inputs.flatten(0, 1), None, shape, state)


def _bfloat16_positions(
    cell: str,
    layer: nn.Module,
    inputs: torch.Tensor,
    rows: torch.Tensor | None,
    shape: torch.Size,
    state: State | None,
) -> tuple[torch.Tensor, State]:
    """`run_positions` with products in bfloat16."""
    planes = state if isinstance(state, tuple) or state is None else (state,)
    first = None if planes is None else tuple(plane.squeeze(0) for plane in planes)
    counts = [shape[1]] * shape[0]
    outputs, final = run_in_bfloat16(cell, layer, inputs, counts, first, rows)
    last = tuple(plane.unsqueeze(0) for plane in final)
    return outputs.view(*shape, -1), last if cell == "lstm" else last[0]


def bfloat16_stretches(
    cell: str, layer: nn.Module, pieces: list[torch.Tensor]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Run a layer from zeros over stretches, each (T, N, E), with products in bfloat16.

    Returns:
        The outputs of each stretch, and (1 or 2, N, H) each sentence's last hidden and cell state.
    """
    flat = torch.cat([piece.flatten(0, 1) for piece in pieces])
    counts = [piece.shape[1] for piece in pieces for _ in piece]
    outputs, final = run_in_bfloat16(cell, layer, flat, counts, None)
    parts = outputs.split([piece.shape[0] * piece.shape[1] for piece in pieces])
    shaped = [part.view(*p.shape[:2], -1) for part, p in zip(parts, pieces, strict=True)]
    return shaped, torch.stack(final)


def run_positions(
    cell: str,
    layer: nn.Module,
    inputs: torch.Tensor,
    rows: torch.Tensor | None,
    shape: torch.Size,
    state: State | None,
) -> tuple[torch.Tensor, State]:
    """Like torch's layer, by packed or bfloat16 products, for T x B positions of this shape.

    Args:
        inputs: (T x B, E); with `rows` (T x B), the (U, E) distinct ones that they read.
    """
    if autocasts(layer.get_parameter("weight_hh_l0")):
        return _bfloat16_positions(cell, layer, inputs, rows, shape, state)
    words = Words(rows, [shape[1]] * shape[0])
    if cell == "gru":
        assert not isinstance(state, tuple)
        outputs, hidden = run_gru(layer, inputs, words, None if state is None else state[0])
        return outputs.view(*shape, -1), hidden.unsqueeze(0)
    before = None if state is None else (state[0][0], state[1][0])
    outputs, final = run_lstm(layer, inputs, words, before)
    return outputs.view(*shape, -1), tuple(part.unsqueeze(0) for part in final)


def words_in_stretches(
    cell: str, layer: nn.Module, inputs: torch.Tensor, pieces: list[torch.Tensor]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Like `bfloat16_stretches`, also in float32; the pieces hold rows of the inputs (U, E)."""
    counts = [piece.shape[1] for piece in pieces for _ in piece]
    rows = torch.cat([piece.flatten() for piece in pieces])
    words = Words(rows, counts)
    if autocasts(layer.get_parameter("weight_hh_l0")):
        outputs, final = run_in_bfloat16(cell, layer, inputs, counts, None, rows)
        memory = torch.stack(final)
    elif cell == "gru":
        outputs, hidden = run_gru(layer, inputs, words, None)
        memory = hidden.unsqueeze(0)
    else:
        outputs, final = run_lstm(layer, inputs, words, None)
        memory = torch.stack(final)
    parts = outputs.split([piece.numel() for piece in pieces])
    shaped = [part.view(*piece.shape, -1) for part, piece in zip(parts, pieces, strict=True)]
    return shaped, memory
