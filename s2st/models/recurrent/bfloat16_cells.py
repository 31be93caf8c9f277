"""The cells of `bfloat16_layer.py`: one step in float32, and its gradient.

Each class holds what the forward pass of a layer saves for the backward pass. tanh(x) is computed
as 2 sigmoid(2x) - 1, because torch's sigmoid is several times as fast on a CPU.

Letters: n sentences of a step, P positions of all steps, H width, G width of all gates.
"""

import torch

State = tuple[torch.Tensor, ...]
_through_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
_through_tanh = torch.ops.aten.tanh_backward.grad_input


class Cell:
    """The saved values of a layer, and its formulas.

    Args:
        positions: P.
        width: H.

    Attributes:
        planes: number of states of a sentence: hidden, then, for the LSTM, cell state.
        gates: G / H.
        carries_hidden: whether the hidden state also goes to the next one without a product.
        errors: after the backward pass, (P, G) bfloat16 gradients of the products with the input,
            and of those with the state.
        bias_errors: after the backward pass, (G,) float32 sums of both over the positions.
    """

    planes = 1
    gates = 1
    carries_hidden = False
    errors: tuple[torch.Tensor, torch.Tensor]
    bias_errors: tuple[torch.Tensor, torch.Tensor]

    def __init__(self, positions: int, width: int) -> None:
        self.width = width
        self.values = torch.empty(positions, self.gates * width)

    def input_bias(self, input_bias: torch.Tensor, state_bias: torch.Tensor) -> torch.Tensor:
        """The bias (G,) of the product with the input."""
        return input_bias + state_bias

    def step(
        self,
        span: slice,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        state_bias: torch.Tensor,
        state: State,
    ) -> State:
        """Compute one step.

        Args:
            span: the step's positions.
            of_input, of_state: (n, G) bfloat16 products; `input_bias` has been added to the first.
            state_bias: (G,).
            state: (n, H) float32 each, which is not changed.

        Returns:
            (n, H) float32 each, the state after the step.
        """
        raise NotImplementedError

    def start_back(self) -> None:
        """Prepare `errors` and `bias_errors` before the first call of `step_back`."""
        errors = torch.empty_like(self.values, dtype=torch.bfloat16)
        biases = torch.zeros(self.values.shape[1])
        self.errors = errors, errors
        self.bias_errors = biases, biases

    def step_back(
        self, span: slice, previous: slice, first: State | None, gradients: State
    ) -> torch.Tensor:
        """Compute the gradients of one step.

        Args:
            span: the step's positions.
            previous: the positions of the step before, in the same sentences.
            first: the state before the step if the step is the first, else None.
            gradients: (n, H) float32 each, of the state after the step. They are replaced by those
                of the state before it, except for the part that the product gives. What the hidden
                state's is replaced by has no meaning unless it is carried.

        Returns:
            (n, G) bfloat16 gradient of the product with the state.
        """
        raise NotImplementedError


class LSTMCell(Cell):
    """Gates i, f, g, o: c' = f c + i g, h' = o tanh(c')."""

    planes = 2
    gates = 4

    def __init__(self, positions: int, width: int) -> None:
        super().__init__(positions, width)
        self.cells, self.shown = (torch.empty(positions, width) for _ in range(2))

    def step(
        self,
        span: slice,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        state_bias: torch.Tensor,
        state: State,
    ) -> State:
        """See `Cell`."""
        values = self.values[span].copy_(of_state).add_(of_input)
        i, f, g, o = values.split(self.width, dim=1)
        g.add_(g)
        values.sigmoid_()
        g.add_(g).sub_(1.0)
        cell = torch.mul(f, state[1], out=self.cells[span]).addcmul_(i, g)
        shown = _tanh(cell, self.shown[span])
        return o * shown, cell

    def start_back(self) -> None:
        """See `Cell`."""
        super().start_back()
        self._work = torch.empty(0)

    def step_back(
        self, span: slice, previous: slice, first: State | None, gradients: State
    ) -> torch.Tensor:
        """See `Cell`."""
        values, shown = self.values[span], self.shown[span]
        before = self.cells[previous] if first is None else first[1]
        i, f, g, o = values.split(self.width, dim=1)
        if len(self._work) < len(values):
            self._work = torch.empty_like(self.values[: len(values)])  # stays in the cache
        work = self._work[: len(values)]
        of_i, of_f, of_g, of_o = work.split(self.width, dim=1)
        hidden, cell = gradients
        torch.mul(hidden, shown, out=of_o)
        hidden.mul_(o)
        cell.add_(_through_tanh(hidden, shown, grad_input=hidden))
        torch.mul(cell, g, out=of_i)
        torch.mul(cell, before, out=of_f)
        torch.mul(cell, i, out=of_g)
        cell.mul_(f)
        half = work[:, : 2 * self.width]
        _through_sigmoid(half, values[:, : 2 * self.width], grad_input=half)
        _through_tanh(of_g, g, grad_input=of_g)
        _through_sigmoid(of_o, o, grad_input=of_o)
        self.bias_errors[0].add_(work.sum(dim=0))
        return self.errors[0][span].copy_(work)


class GRUCell(Cell):
    """Gates r, z, n: n = tanh(x + r (W h + b)), h' = (1 - z) n + z h."""

    gates = 3
    carries_hidden = True

    def __init__(self, positions: int, width: int) -> None:
        super().__init__(positions, width)
        self.states, self.reset = (torch.empty(positions, width) for _ in range(2))

    def input_bias(self, input_bias: torch.Tensor, state_bias: torch.Tensor) -> torch.Tensor:
        """See `Cell`. The state's bias of the last gate is inside the reset."""
        both = 2 * self.width
        return torch.cat([input_bias[:both] + state_bias[:both], input_bias[both:]])

    def step(
        self,
        span: slice,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        state_bias: torch.Tensor,
        state: State,
    ) -> State:
        """See `Cell`."""
        both = 2 * self.width
        values = self.values[span].copy_(of_input)
        values[:, :both].add_(of_state[:, :both]).sigmoid_()
        r, z, n = values.split(self.width, dim=1)
        reset = torch.add(of_state[:, both:], state_bias[both:], out=self.reset[span])
        _tanh(n.addcmul_(r, reset), n)
        hidden = torch.sub(state[0], n, out=self.states[span]).mul_(z).add_(n)
        return (hidden,)

    def start_back(self) -> None:
        """See `Cell`."""
        super().start_back()
        self.errors = self.errors[0], torch.empty_like(self.errors[0])
        self.bias_errors = self.bias_errors[0], torch.zeros_like(self.bias_errors[0])

    def step_back(
        self, span: slice, previous: slice, first: State | None, gradients: State
    ) -> torch.Tensor:
        """See `Cell`."""
        before = self.states[previous] if first is None else first[0]
        r, z, n = self.values[span].split(self.width, dim=1)
        (hidden,) = gradients
        of_z = torch.sub(before, n).mul_(hidden)
        _through_sigmoid(of_z, z, grad_input=of_z)
        of_n = hidden - hidden * z
        hidden.mul_(z)
        _through_tanh(of_n, n, grad_input=of_n)
        of_r = of_n * self.reset[span]
        _through_sigmoid(of_r, r, grad_input=of_r)
        gates = [slice(gate * self.width, (gate + 1) * self.width) for gate in range(self.gates)]
        lasts = of_n, of_n * r
        for errors, bias, last in zip(self.errors, self.bias_errors, lasts, strict=True):
            for gate, error in zip(gates, (of_r, of_z, last), strict=True):
                errors[span, gate] = error
                bias[gate].add_(error.sum(dim=0))
        return self.errors[1][span]


class RNNCell(Cell):
    """h' = tanh(W x + U h + b)."""

    def step(
        self,
        span: slice,
        of_input: torch.Tensor,
        of_state: torch.Tensor,
        state_bias: torch.Tensor,
        state: State,
    ) -> State:
        """See `Cell`."""
        values = self.values[span].copy_(of_state).add_(of_input)
        return (_tanh(values, values),)

    def step_back(
        self, span: slice, previous: slice, first: State | None, gradients: State
    ) -> torch.Tensor:
        """See `Cell`."""
        (hidden,) = gradients
        errors = _through_tanh(hidden, self.values[span], grad_input=hidden)
        self.bias_errors[0].add_(errors.sum(dim=0))
        return self.errors[0][span].copy_(errors)


CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}


def _tanh(values: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    torch.add(values, values, out=out).sigmoid_()
    return out.add_(out).sub_(1.0)
