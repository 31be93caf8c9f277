"""One step of the recurrent cells, from the products of their weights with input and state.

As torch computes them (x_t the layer's input, biases left out):
    rnn   h_t = tanh(W x_t + U h_{t-1})
    gru   r, z = sigmoid(W x_t + U h_{t-1});  n = tanh(W_n x_t + r * (U_n h_{t-1}))
          h_t = (1 - z) * n + z * h_{t-1}
    lstm  i, f, o = sigmoid(W x_t + U h_{t-1});  g = tanh(W_g x_t + U_g h_{t-1})
          c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t)
"""

from collections.abc import Callable

import torch
from torch import nn

CELLS: dict[str, Callable[[int, int], nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
# (W x, U h, h before, c before) -> (h, c); the products (N, G x H) belong to the callee
Step = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None],
    tuple[torch.Tensor, torch.Tensor | None],
]


def _lstm(
    inputs: torch.Tensor, recurrent: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    assert cell is not None
    i, f, g, o = inputs.add_(recurrent).chunk(4, dim=1)
    inputs[:, : 2 * i.shape[1]].sigmoid_()
    o.sigmoid_()
    # tanh(x) = 2 sigmoid(2x) - 1: torch's sigmoid is several times as fast on a CPU
    g.mul_(2).sigmoid_()
    cell = (f * cell).addcmul_(i, g, value=2).sub_(i)
    return (cell * 2).sigmoid_().mul_(2).sub_(1).mul_(o), cell


def _gru(
    inputs: torch.Tensor, recurrent: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    input_r, input_z, input_n = inputs.chunk(3, dim=1)
    hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=1)
    reset = torch.sigmoid(input_r + hidden_r)
    update = torch.sigmoid(input_z + hidden_z)
    new = torch.tanh(input_n + reset * hidden_n)
    return new + update * (hidden - new), None


def _rnn(
    inputs: torch.Tensor, recurrent: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    return inputs.add_(recurrent).tanh_(), None


STEPS: dict[str, Step] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
