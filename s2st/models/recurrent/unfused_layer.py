"""A recurrent layer as a loop over time, for the features that torch's fused layers lack.

These are layer normalization in the cells, recurrent dropout with one mask for a whole sentence,
and sigmoid cells. One product multiplies a layer's inputs at all positions before the loop starts.

Letters: T positions, N sentences, E input width, H width, G gates x H.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from s2st.models.recurrent.cell_formulas import FORMULAS, Norm

# (weight, bias or None) -> function that multiplies by the weight and adds the bias
MakeProduct = Callable[[torch.Tensor, torch.Tensor | None], Callable[[torch.Tensor], torch.Tensor]]
# number of gates in each norm of a product
_TOGETHER = {"lstm": (4,), "gru": (2, 1), "rnn": (), "rnn-sigmoid": ()}
_GATES = {"lstm": 4, "gru": 3, "rnn": 1, "rnn-sigmoid": 1}


class NormedLayer(nn.Module):
    """The weights of one layer with layer normalization (see `cell_formulas.py`).

    The weights have the names of torch's layers. The only biases are the shifts of the norms.
    """

    def __init__(self, cell: str, input_size: int, hidden_size: int) -> None:
        super().__init__()
        width, bound = _GATES[cell] * hidden_size, hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(width, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(width, hidden_size))
        for weight in (self.weight_ih_l0, self.weight_hh_l0):
            nn.init.uniform_(weight, -bound, bound)  # as torch's layers
        parts = [count * hidden_size for count in _TOGETHER[cell]]
        self.input_norms = nn.ModuleList(nn.LayerNorm(part) for part in parts)
        self.state_norms = nn.ModuleList(nn.LayerNorm(part) for part in parts)
        self.cell_norm = None if cell == "gru" else nn.LayerNorm(hidden_size)


@dataclass(frozen=True)
class LayerParts:
    """The functions that a step of a layer calls.

    Attributes:
        of_input, of_state: products with the input and with the state, from (..., E) and (..., H)
            to (..., G), with the norms of the products.
        norm: the norm inside the cell, or None.
    """

    of_input: Callable[[torch.Tensor], torch.Tensor]
    of_state: Callable[[torch.Tensor], torch.Tensor]
    norm: Norm | None


def layer_parts(layer: nn.Module, make: MakeProduct) -> LayerParts:
    """The parts of a single layer: one of torch's, or a `NormedLayer`."""
    of_input, of_state = (layer.get_parameter(f"weight_{kind}_l0") for kind in ("ih", "hh"))
    if isinstance(layer, NormedLayer):
        first, second = make(of_input, None), make(of_state, None)
        if layer.input_norms:
            first = _normed(first, layer.input_norms)
            second = _normed(second, layer.state_norms)
        return LayerParts(first, second, layer.cell_norm)
    biases = [layer.get_parameter(f"bias_{kind}_l0") for kind in ("ih", "hh")]
    return LayerParts(make(of_input, biases[0]), make(of_state, biases[1]), None)


def plain_product(
    weight: torch.Tensor, bias: torch.Tensor | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The product with the unpacked weights, with gradients."""
    return partial(F.linear, weight=weight, bias=bias)


def _normed(
    product: Callable[[torch.Tensor], torch.Tensor], norms: nn.ModuleList
) -> Callable[[torch.Tensor], torch.Tensor]:
    widths = [norm.normalized_shape[0] for norm in norms if isinstance(norm, nn.LayerNorm)]

    def apply(inputs: torch.Tensor) -> torch.Tensor:
        pieces = torch.split(product(inputs), widths, dim=-1)
        return torch.cat([n(piece) for n, piece in zip(norms, pieces, strict=True)], dim=-1)

    return apply


def run_loop(
    cell: str,
    parts: LayerParts,
    inputs: torch.Tensor,
    state: tuple[torch.Tensor, ...],
    mask: torch.Tensor | None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Runs a layer over all positions, with gradients.

    Args:
        cell: "lstm", "gru", "rnn" or "rnn-sigmoid".
        parts: functions of the layer.
        inputs: (T, N, E).
        state: hidden and, for the LSTM, cell state, (1, N, H) each.
        mask: (N, H) factor of the hidden state where the recurrent weights read it, or None.

    Returns:
        (T, N, H) hidden states, and the state after the last position.
    """
    planes = [part[0] for part in state]
    outputs = []
    for column in parts.of_input(inputs).unbind(0):
        read = planes[0] if mask is None else planes[0] * mask
        planes = FORMULAS[cell](column, parts.of_state(read), planes, parts.norm)
        outputs.append(planes[0])
    return torch.stack(outputs), tuple(plane.unsqueeze(0) for plane in planes)
