"""One step of the recurrent cells, given the products of the weights with input and state.

The formulas are torch's (x_t is the layer's input; biases are left out here):
    rnn   h_t = tanh(W x_t + U h_{t-1})
          (rnn-sigmoid: sigmoid in place of tanh, here and below)
    gru   r, z = sigmoid(W x_t + U h_{t-1});  n = tanh(W_n x_t + r * (U_n h_{t-1}))
          h_t = (1 - z) * n + z * h_{t-1}
    lstm  i, f, o = sigmoid(W x_t + U h_{t-1});  g = tanh(W_g x_t + U_g h_{t-1})
          c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t)

With layer normalization (Ba et al. 2016, section 3.1 and equations 20 to 29) each LN has its own
gain, and its own shift, which replaces the bias. One LN covers the GRU's gates r and z, another n:
    rnn   h_t = tanh(LN(W x_t + U h_{t-1}))
    gru   LN(W x_t) and LN(U h_{t-1}) in place of the products
    lstm  likewise, over all four gates together; h_t = o * tanh(LN(c_t))
"""

from collections.abc import Callable
from typing import NoReturn

import torch
from torch import nn


class SigmoidRNN(nn.RNN):
    """The weights of a vanilla layer with sigmoid cells, which torch does not compute."""

    def forward(self, *_: object) -> NoReturn:
        """Raises NotImplementedError: `Stack` runs these layers as a loop."""
        raise NotImplementedError("torch has no layer of sigmoid cells")


CELLS: dict[str, Callable[[int, int], nn.RNNBase]] = {
    "lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "rnn-sigmoid": SigmoidRNN,
}  # fmt: skip
UNFUSED = ("rnn-sigmoid",)  # cells whose layers torch does not compute
Planes = list[torch.Tensor]  # (N, H) each: the hidden state and, for the LSTM, the cell state
Norm = Callable[[torch.Tensor], torch.Tensor]
# (W x, U h, state before, state after, norm): writes the state after, which may be the same tensors
# as the state before. The step may overwrite the products (N, G x H). The norm is that of the
# LSTM's cell state, or of the RNN's sum.
Step = Callable[[torch.Tensor, torch.Tensor, Planes, Planes, Norm | None], None]
# (W x, U h, state before, norm) -> the state after, with gradients
Formula = Callable[[torch.Tensor, torch.Tensor, Planes, Norm | None], Planes]


def _lstm(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes, norm: Norm | None
) -> None:
    i, f, g, o = inputs.add_(recurrent).chunk(4, dim=1)
    inputs[:, : 2 * i.shape[1]].sigmoid_()
    o.sigmoid_()
    # tanh(x) = 2 sigmoid(2x) - 1: torch's sigmoid is several times as fast on a CPU
    g.mul_(2).sigmoid_()
    hidden, cell = after
    torch.mul(f, before[1], out=cell).addcmul_(i, g, value=2).sub_(i)
    shown = cell if norm is None else norm(cell)
    torch.mul(shown, 2, out=hidden).sigmoid_().mul_(2).sub_(1).mul_(o)


def _gru(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes, _: Norm | None
) -> None:
    input_r, input_z, input_n = inputs.chunk(3, dim=1)
    hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=1)
    reset = torch.sigmoid(input_r + hidden_r)
    update = torch.sigmoid(input_z + hidden_z)
    new = torch.tanh(input_n + reset * hidden_n)
    torch.lerp(new, before[0], update, out=after[0])


def _rnn(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes, norm: Norm | None
) -> None:
    total = inputs.add_(recurrent)
    torch.tanh(total if norm is None else norm(total), out=after[0])


def _rnn_sigmoid(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, after: Planes, norm: Norm | None
) -> None:
    total = inputs.add_(recurrent)
    torch.sigmoid(total if norm is None else norm(total), out=after[0])


STEPS: dict[str, Step] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn, "rnn-sigmoid": _rnn_sigmoid}


def _lstm_formula(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, norm: Norm | None
) -> Planes:
    i, f, g, o = (inputs + recurrent).chunk(4, dim=1)
    cell = torch.sigmoid(f) * before[1] + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(cell if norm is None else norm(cell)), cell]


def _gru_formula(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, _: Norm | None
) -> Planes:
    size = before[0].shape[1]
    gates = torch.sigmoid(inputs[:, : 2 * size] + recurrent[:, : 2 * size])
    reset, update = gates.chunk(2, dim=1)
    new = torch.tanh(inputs[:, 2 * size :] + reset * recurrent[:, 2 * size :])
    return [new + update * (before[0] - new)]


def _rnn_formula(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, norm: Norm | None
) -> Planes:
    total = inputs + recurrent
    return [torch.tanh(total if norm is None else norm(total))]


def _rnn_sigmoid_formula(
    inputs: torch.Tensor, recurrent: torch.Tensor, before: Planes, norm: Norm | None
) -> Planes:
    total = inputs + recurrent
    return [torch.sigmoid(total if norm is None else norm(total))]


FORMULAS: dict[str, Formula] = {
    "lstm": _lstm_formula, "gru": _gru_formula, "rnn": _rnn_formula,
    "rnn-sigmoid": _rnn_sigmoid_formula,
}  # fmt: skip
