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
Planes = list[torch.Tensor]  # (N, H) each: the hidden state and, for the LSTM, the cell state
# (W x, U h, state before, state after): writes the state after; it may be the one before itself.
# The products (N, G x H) belong to the callee.
Step = Callable[[torch.Tensor, torch.Tensor, Planes, Planes], None]


def _lstm(inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes) -> None:
    i, f, g, o = inputs.add_(recurrent).chunk(4, dim=1)
    inputs[:, : 2 * i.shape[1]].sigmoid_()
    o.sigmoid_()
    # tanh(x) = 2 sigmoid(2x) - 1: torch's sigmoid is several times as fast on a CPU
    g.mul_(2).sigmoid_()
    hidden, cell = after
    torch.mul(f, before[1], out=cell).addcmul_(i, g, value=2).sub_(i)
    torch.mul(cell, 2, out=hidden).sigmoid_().mul_(2).sub_(1).mul_(o)


def _gru(inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes) -> None:
    input_r, input_z, input_n = inputs.chunk(3, dim=1)
    hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=1)
    reset = torch.sigmoid(input_r + hidden_r)
    update = torch.sigmoid(input_z + hidden_z)
    new = torch.tanh(input_n + reset * hidden_n)
    torch.lerp(new, before[0], update, out=after[0])


def _rnn(inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes) -> None:
    torch.tanh(inputs.add_(recurrent), out=after[0])


STEPS: dict[str, Step] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
