"""Layers of packed products against torch's, and first layers that share the words' products."""

import pytest
import torch
from torch import nn

from s2st.models.packed.packed_linear import can_pack
from s2st.models.recurrent import layer_runs, layer_stack
from s2st.models.recurrent.bidirectional_stack import BidirectionalStack
from s2st.models.recurrent.layer_stack import Stack, StackDesign
from s2st.models.recurrent.packed_positions import worth_sharing
from s2st.models.recurrent.word_inputs import word_inputs

pytestmark = pytest.mark.skipif(not can_pack(), reason="this torch has no packed products")
WORDS = 9
LENGTHS = [[4, 4, 4], [6, 3, 6, 3, 5], [1], [1, 7], [2, 9, 9, 2, 9, 1]]


def data_of(lengths, width=3):
    torch.manual_seed(sum(lengths))
    inputs = torch.randn(WORDS, width, requires_grad=True)
    return inputs, torch.randint(0, WORDS, (max(lengths) + 2, len(lengths)))


def assert_same(found, expected, wanted):
    """Outputs, and gradients of all outputs; float32 rounds differently in another order."""
    chosen = [torch.randn_like(part) for part in expected]
    gradients = []
    for outputs in (found, expected):
        total = sum((part * factor).sum() for part, factor in zip(outputs, chosen, strict=True))
        gradients.append(torch.autograd.grad(total, wanted, retain_graph=outputs is expected))
    for own, its in zip([*found, *gradients[0]], [*expected, *gradients[1]], strict=True):
        torch.testing.assert_close(own, its, rtol=1e-5, atol=2e-5)


def torchs(monkeypatch, run, *values):
    """What torch's own layers compute."""
    with monkeypatch.context() as patch:
        for module in (layer_stack, layer_runs):
            patch.setattr(module, "can_share", lambda _: False)
        return run(*values)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("kind", [Stack, BidirectionalStack])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_sources_are_read_as_by_torchs_layers(monkeypatch, lengths, cell, kind, residual):
    inputs, rows = data_of(lengths)
    stack = kind(cell, 3, 6, 2, StackDesign(residual=residual))
    found = stack.run_padded(inputs, torch.tensor(lengths), 0.0, rows)
    plain = inputs[rows], torch.tensor(lengths), 0.0
    expected = torchs(monkeypatch, stack.run_padded, *plain)
    assert_same(found, expected, [inputs, *stack.parameters()])
    again = stack.run_padded(inputs[rows], *plain[1:])
    assert_same(again, expected, [inputs, *stack.parameters()])
    memory = stack.run_packed(inputs, torch.tensor(lengths), 0.0, rows)
    torch.testing.assert_close(memory, found[1])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_targets_are_read_as_by_torchs_layers(monkeypatch, cell):
    inputs, rows = data_of([5, 5, 5, 5])
    stack = Stack(cell, 3, 5, 2)
    memory = torch.randn(stack.planes, 4, 5, requires_grad=True)
    for start, own in ((memory, [memory]), (None, [])):
        wanted = [inputs, *own, *stack.parameters()]
        expected = torchs(monkeypatch, stack.run, inputs[rows], start, 0.0)
        assert_same(stack.run(inputs, start, 0.0, rows), expected, wanted)
        assert_same(stack.run(inputs[rows], start, 0.0), expected, wanted)


def test_a_single_position_has_no_gradient_of_the_recurrent_weights():
    """Wide enough that the empty product would be oneDNN's, which refuses it."""
    stack = Stack("lstm", 3, 128, 1)
    _, memory = stack.run(torch.randn(2, 3), None, 0.0, torch.tensor([[0, 1, 0]]))
    memory.sum().backward()
    assert not stack.layers[0].weight_hh_l0.grad.any()
    assert stack.layers[0].weight_ih_l0.grad.any()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_many_positions_have_the_gradients_of_double_precision(cell):
    """With enough rows that every product is oneDNN's."""
    torch.manual_seed(1)
    inputs, rows = torch.randn(200, 16), torch.randint(0, 200, (7, 150))
    stack = Stack(cell, 16, 24, 1)
    exact = Stack(cell, 16, 24, 1).double()
    exact.load_state_dict(stack.state_dict())
    outputs, memory = stack.run(inputs.requires_grad_(), None, 0.0, rows)
    states, expected = exact.run(inputs.double()[rows], None, 0.0)
    torch.testing.assert_close(memory.double(), expected, rtol=0, atol=1e-6)
    chosen = torch.randn_like(states)
    own = torch.autograd.grad((outputs * chosen.float()).sum(), [*stack.parameters(), inputs])
    its = torch.autograd.grad((states * chosen).sum(), [*exact.parameters(), inputs])
    for mine, gradient in zip(own, its, strict=True):
        assert (mine - gradient).norm() < 2e-6 * gradient.norm()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_second_backward_pass_is_refused_since_the_first_one_overwrote_the_gates(cell):
    inputs, rows = data_of([5, 5])
    outputs, _ = Stack(cell, 3, 5, 1).run(inputs, None, 0.0, rows)
    total = outputs.sum()
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def words_of(monkeypatch, stack, *, tokens=None, dropout=0.0, dtype=torch.float32, always=True):
    """What `word_inputs` gives for a table of ten words."""
    if always:
        monkeypatch.setattr(layer_stack, "worth_sharing", lambda *_: True)
    table = nn.Embedding(10, 3).to(dtype)
    tokens = torch.tensor([[4, 7], [4, 4]]) if tokens is None else tokens
    return table, *word_inputs(table, tokens, stack, dropout)


def test_equal_words_share_an_input(monkeypatch):
    table, inputs, rows = words_of(monkeypatch, Stack("lstm", 3, 5, 1))
    assert torch.equal(inputs, table.weight[[4, 7]])
    assert rows.tolist() == [[0, 1], [0, 0]]


def test_dropout_leaves_an_input_at_every_position(monkeypatch):
    stack = Stack("lstm", 3, 5, 1)
    assert words_of(monkeypatch, stack, dropout=0.5)[2] is None
    assert words_of(monkeypatch, stack.eval(), dropout=0.5)[2] is not None


def test_other_cells_designs_and_data_types_have_an_input_at_every_position(monkeypatch):
    normed, dropped = StackDesign(layer_norm=True), StackDesign(recurrent_dropout=0.5)
    stacks = [Stack("rnn", 3, 5, 1), *(Stack("lstm", 3, 5, 1, x) for x in (normed, dropped))]
    for stack in stacks:
        _, inputs, rows = words_of(monkeypatch, stack)
        assert inputs.shape == (2, 2, 3)
        assert rows is None
    assert words_of(monkeypatch, Stack("lstm", 3, 5, 1).double(), dtype=torch.double)[2] is None


def test_few_or_distinct_words_are_left_to_torch(monkeypatch):
    assert words_of(monkeypatch, Stack("lstm", 3, 5, 1), always=False)[2] is None
    weight = torch.empty(2048, 512)
    assert worth_sharing(2304, 602, 18, weight)
    assert not worth_sharing(2304, 2304, 18, weight)
