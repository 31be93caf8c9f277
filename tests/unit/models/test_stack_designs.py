"""Layer norm, residual, bidirectional and dropout variants against other implementations."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2st.errors import UsageError
from s2st.models.dropout import dropped
from s2st.models.recurrent.bidirectional_stack import BidirectionalStack
from s2st.models.recurrent.cell_formulas import CELLS, UNFUSED
from s2st.models.recurrent.layer_stack import Stack, StackDesign

LENGTHS = torch.tensor([3, 6, 1, 6, 4])
KINDS = [cell for cell in CELLS if cell not in UNFUSED]  # which torch has too


def inputs_of(width=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, len(LENGTHS), width, generator=generator, dtype=torch.float64)


def shaken(module, seed=1):
    """The module with large weights, gains and shifts."""
    torch.manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-1, 1)
    return module


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def array(tensor):
    return tensor.detach().numpy()


def norm(vector, layer):
    """Ba et al. 2016, equation 4, with torch's epsilon."""
    centred = vector - vector.mean()
    scale = np.sqrt((centred**2).mean() + 1e-5)
    return array(layer.weight) * centred / scale + array(layer.bias)


def normed_step(cell, layer, x, hidden, memory):
    """One step of one row by the paper's supplement, gates in torch's order."""
    size = len(hidden)
    of_input, of_state = array(layer.weight_ih_l0) @ x, array(layer.weight_hh_l0) @ hidden
    if cell == "rnn-sigmoid":
        return sigmoid(norm(of_input + of_state, layer.cell_norm)), memory
    if cell == "rnn":
        return np.tanh(norm(of_input + of_state, layer.cell_norm)), memory
    if cell == "gru":
        gates = norm(of_input[: 2 * size], layer.input_norms[0])
        gates = sigmoid(gates + norm(of_state[: 2 * size], layer.state_norms[0]))
        reset, update = gates[:size], gates[size:]
        new = norm(of_input[2 * size :], layer.input_norms[1])
        new = np.tanh(new + reset * norm(of_state[2 * size :], layer.state_norms[1]))
        return (1 - update) * new + update * hidden, memory
    gates = norm(of_input, layer.input_norms[0]) + norm(of_state, layer.state_norms[0])
    i, f, g, o = gates.reshape(4, size)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(norm(memory, layer.cell_norm)), memory


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("cell", list(CELLS))
def test_layer_normalised_stacks_follow_the_equations(cell, residual):
    stack = shaken(Stack(cell, 3, 4, 3, StackDesign(residual=residual, layer_norm=True))).eval()
    inputs = inputs_of()
    outputs, memory = stack.run_padded(inputs, LENGTHS, 0.5)  # dropout is not drawn
    for row, length in enumerate(LENGTHS.tolist()):
        states = [(np.zeros(4), np.zeros(4))] * 3
        for position in range(length):
            x = array(inputs[position, row])
            for index, layer in enumerate(stack.layers):
                states[index] = normed_step(cell, layer, x, *states[index])
                x = states[index][0] + (x if residual and index else 0)
            np.testing.assert_allclose(array(outputs[position, row]), x, rtol=0, atol=1e-12)
        planes = [hidden for hidden, _ in states]
        if cell == "lstm":
            planes += [memory_ for _, memory_ in states]
        np.testing.assert_allclose(array(memory[:, row]), planes, rtol=0, atol=1e-12)


DESIGNS = [
    StackDesign(residual=True),
    StackDesign(layer_norm=True),
    StackDesign(residual=True, layer_norm=True, recurrent_dropout=0.5),
]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("cell", KINDS)
@torch.no_grad()
def test_sources_read_by_steps_and_as_on_a_gpu_are_as_read_in_stretches(
    cell, design, bidirectional, monkeypatch
):
    stack = (BidirectionalStack if bidirectional else Stack)(cell, 3, 4, 3, design)
    stack = shaken(stack).eval()
    table = inputs_of().flatten(0, 1)
    rows = torch.arange(len(table)).view(8, -1).t()
    expected = stack.run_packed(table[rows.t()], LENGTHS, 0.5)
    found = stack.read(table, rows, LENGTHS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    stack.prepare("float32")
    assert stack.prepared
    torch.testing.assert_close(stack.read(table, rows, LENGTHS), expected, rtol=0, atol=1e-12)
    if not design.layer_norm:
        monkeypatch.setattr(Stack, "_in_stretches", lambda *_: False)
        packed = stack.run_packed(table[rows.t()], LENGTHS, 0.5)
        torch.testing.assert_close(packed, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", KINDS)
def test_residual_layers_are_those_of_torch_with_sums_between(cell):
    stack = shaken(Stack(cell, 3, 4, 3, StackDesign(residual=True)))
    inputs = inputs_of()
    outputs, memory = stack.run(inputs, None, 0.0)
    first, _ = stack.layers[0](inputs)
    second, _ = stack.layers[1](first)
    third, _ = stack.layers[2](second + first)
    torch.testing.assert_close(outputs, third + second + first, rtol=0, atol=1e-12)
    torch.testing.assert_close(stack.top(memory), outputs[-1], rtol=0, atol=1e-12)


def test_a_residual_layer_adds_its_input_as_it_was_before_dropout():
    stack = shaken(Stack("rnn", 3, 4, 2, StackDesign(residual=True)))
    with torch.no_grad():
        for parameter in stack.layers[1].parameters():
            parameter.zero_()  # so that the second layer gives 0, whatever it reads
    outputs, _ = stack.run(inputs_of(), None, 0.9)
    assert torch.equal(outputs, stack.layers[0](inputs_of())[0])


@pytest.mark.parametrize("cell", KINDS)
def test_a_bidirectional_stack_is_torchs(cell):
    """Two layers of H cells in both directions, by torch's own module over packed sequences."""
    own = shaken(BidirectionalStack(cell, 3, 8, 2))
    theirs = CELLS[cell](3, 4, num_layers=2, bidirectional=True).double()
    with torch.no_grad():
        for level in range(2):
            for half, suffix in ((own.forwards, ""), (own.backwards, "_reverse")):
                for name, value in half[level].layers[0].named_parameters():
                    target = f"{name.removesuffix('_l0')}_l{level}{suffix}"
                    theirs.get_parameter(target).copy_(value)
    inputs = inputs_of()
    packed, finals = theirs(pack_padded_sequence(inputs, LENGTHS, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, total_length=len(inputs))
    outputs, memory = own.run_padded(inputs, LENGTHS, 0.0)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    # torch: layer 1 forward, layer 1 backward, layer 2 forward, ...
    planes = [
        torch.cat([part[2 * level], part[2 * level + 1]], dim=1)
        for part in (finals if cell == "lstm" else (finals,))
        for level in range(2)
    ]
    torch.testing.assert_close(memory, torch.stack(planes), rtol=0, atol=1e-12)
    torch.testing.assert_close(own.top(memory), memory[1], rtol=0, atol=0)


def test_both_directions_need_an_even_number_of_cells():
    with pytest.raises(UsageError, match=r"--hidden-size 7 must be even"):
        BidirectionalStack("lstm", 3, 7, 1)


def dropped_step(cell, layer, x, hidden, memory, mask):
    """torch's own cell, told that its recurrent weights are zero where the mask is."""
    cells = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "rnn": torch.nn.RNNCell}
    single = cells[cell](x.shape[1], hidden.shape[1]).double()
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(single, name, torch.nn.Parameter(getattr(layer, f"{name}_l0").clone()))
    single.weight_hh = torch.nn.Parameter(single.weight_hh * mask)
    if cell == "lstm":
        return single(x, (hidden, memory))
    return single(x, hidden), memory


@pytest.mark.parametrize("cell", KINDS)
def test_recurrent_dropout_is_one_mask_a_sentence_on_what_the_recurrent_weights_read(cell):
    stack = shaken(Stack(cell, 3, 4, 1, StackDesign(recurrent_dropout=0.5)))
    inputs = inputs_of()
    torch.manual_seed(5)
    outputs, _ = stack.run_padded(inputs, LENGTHS, 0.0)
    torch.manual_seed(5)  # rows of the mask are drawn for the longest sentence first
    mask = dropped(torch.ones(5, 4).double(), 0.5, True)
    assert 0 < mask.sum() < 2 * mask.numel()
    order = LENGTHS.argsort(descending=True, stable=True).tolist()
    for place, row in enumerate(order):
        hidden = memory = torch.zeros(1, 4, dtype=torch.float64)
        for position in range(int(LENGTHS[row])):
            x = inputs[position, row : row + 1]
            hidden, memory = dropped_step(cell, stack.layers[0], x, hidden, memory, mask[place])
            torch.testing.assert_close(outputs[position, row], hidden[0], rtol=0, atol=1e-12)


def test_recurrent_dropout_repeats_by_seed_and_ends_with_training():
    stack = shaken(Stack("lstm", 3, 40, 2, StackDesign(recurrent_dropout=0.5)))
    plain = Stack("lstm", 3, 40, 2).double()
    plain.load_state_dict(stack.state_dict())

    def memory(seed):
        torch.manual_seed(seed)
        return stack.run_packed(inputs_of(), LENGTHS, 0.0)

    assert torch.equal(memory(1), memory(1))
    assert not torch.equal(memory(1), memory(2))
    stack.eval()
    assert torch.equal(memory(1), plain.eval().run_packed(inputs_of(), LENGTHS, 0.0))


@pytest.mark.parametrize("cell", KINDS)
def test_gradients_of_the_loop_are_those_of_differences(cell):
    design = StackDesign(layer_norm=True, residual=True)
    stack = shaken(Stack(cell, 2, 3, 2, design))
    names = [name for name, _ in stack.named_parameters()]

    def final(*values):
        with_values = dict(zip(names, values, strict=True))
        inputs = inputs_of(2)[:3, :2]
        return torch.func.functional_call(stack, with_values, (inputs,))

    stack.forward = lambda inputs: stack.run_packed(inputs, torch.tensor([2, 3]), 0.0)
    assert torch.autograd.gradcheck(final, tuple(stack.parameters()), fast_mode=True)
