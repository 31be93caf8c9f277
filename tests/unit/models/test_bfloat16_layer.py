"""Recurrent layers with bfloat16 products against torch's own layers in float32."""

import pytest
import torch
from torch import nn

from s2st.models.recurrent import bfloat16_layer, layer_runs, layer_stack
from s2st.models.recurrent.bidirectional_stack import BidirectionalStack
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.recurrent.word_inputs import word_inputs
from s2st.process.device import has_bfloat16

pytestmark = pytest.mark.skipif(
    not has_bfloat16(torch.device("cpu")), reason="this CPU has no bfloat16 instructions"
)
CELLS = ("lstm", "gru", "rnn")
LENGTHS = torch.tensor([3, 9, 1, 9, 4, 7])
ROUNDING = 0.02  # relative; bfloat16 has 8 bits, and errors of many products partly cancel


@pytest.fixture
def calls(monkeypatch):
    """Notes the sentences of each step of every layer that runs in bfloat16."""
    noted = []

    def noting(cell, layer, inputs, counts, state, rows=None):
        noted.append(counts)
        return bfloat16_layer.run_layer(cell, layer, inputs, counts, state, rows)

    monkeypatch.setattr(layer_runs, "run_in_bfloat16", noting)
    return noted


def outputs_and_gradients(stack, sources, targets, low):
    """Outputs and memories of an encoder and a decoder, then all gradients."""
    parameters = [sources, targets, *stack.parameters()]
    for parameter in parameters:
        parameter.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        tops, memory = stack.run_padded(sources, LENGTHS, 0.0)
        outputs, last = stack.run(targets, memory, 0.0)
    results = [tops, memory, outputs, last]
    torch.manual_seed(2)
    sum((each.float() * torch.randn(each.shape)).sum() for each in results).backward()
    return [each.detach().float() for each in results] + [each.grad for each in parameters]


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_states_and_gradients_are_those_of_torch(cell, calls):
    torch.manual_seed(1)
    stack = Stack(cell, 24, 32, 2)
    sources, targets = (torch.randn(n, 6, 24, requires_grad=True) for n in (9, 5))
    expected = outputs_and_gradients(stack, sources, targets, low=False)
    assert calls == []
    found = outputs_and_gradients(stack, sources, targets, low=True)
    assert calls == [[6, 5, 5, 4, 3, 3, 3, 2, 2]] * 2 + [[6] * 5] * 2
    for right, other in zip(expected, found, strict=True):
        assert other.dtype == torch.float32
        assert (right - other).norm() < ROUNDING * right.norm()


@pytest.mark.parametrize("kind", [Stack, BidirectionalStack])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_positions_that_share_a_word_have_the_outputs_and_gradients_of_float32(cell, kind, calls):
    torch.manual_seed(1)
    stack = kind(cell, 24, 32, 2)
    inputs, rows = torch.randn(7, 24, requires_grad=True), torch.randint(0, 7, (9, 6))
    parameters, results = [inputs, *stack.parameters()], []
    for low in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            shared = (inputs, LENGTHS, 0.0, rows) if low else (inputs[rows], LENGTHS, 0.0)
            outputs = list(stack.run_padded(*shared))
            if kind is Stack:
                shared = (inputs, None, 0.0, rows) if low else (inputs[rows], None, 0.0)
                outputs += stack.run(*shared)
        torch.manual_seed(2)
        total = sum((each.float() * torch.randn(each.shape)).sum() for each in outputs)
        gradients = torch.autograd.grad(total, parameters)
        results.append([*(each.float() for each in outputs), *gradients])
    assert len(calls) == 4
    for right, other in zip(*results, strict=True):
        assert (right - other).norm() < ROUNDING * right.norm()


@pytest.mark.parametrize(("words", "shares"), [(4, True), (16, False)])
def test_words_share_products_if_enough_occur_more_than_once(words, shares):
    tokens = torch.arange(16).view(4, 4) % words
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = word_inputs(nn.Embedding(16, 8), tokens, Stack("lstm", 8, 8, 1), 0.0)[1]
    assert (rows is not None) is shares


@pytest.mark.parametrize("cell", CELLS)
def test_products_and_outputs_are_bfloat16_and_states_float32(cell):
    stack = Stack(cell, 8, 16, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, memory = stack.run(torch.randn(4, 3, 8), None, 0.0)
    assert outputs.dtype == torch.bfloat16
    assert memory.dtype == torch.float32
    assert torch.equal(outputs[-1], memory[0].bfloat16())


def test_a_cell_state_adds_what_bfloat16_would_lose():
    stack = Stack("lstm", 1, 4, 1)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
        # the gates i and f are 1, and tanh(g) is 2**-6: a sum of 512 reaches 8, where bfloat16
        # has steps of 2**-5
        stack.layers[0].bias_ih_l0[:8] = 50.0
        stack.layers[0].bias_ih_l0[8:12] = 2.0**-6
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, memory = stack.run(torch.zeros(512, 1, 1), None, 0.0)
    assert memory[1].flatten().tolist() == pytest.approx([8.0] * 4, rel=1e-3)


def test_single_steps_layer_norms_and_float64_run_as_before(calls):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        Stack("lstm", 8, 8, 1).run(torch.randn(1, 3, 8), None, 0.0)
        normed = Stack("gru", 8, 8, 1, layer_stack.StackDesign(layer_norm=True))
        normed.run(torch.randn(4, 3, 8), None, 0.0)
        Stack("rnn", 8, 8, 1).double().run(torch.randn(4, 3, 8).double(), None, 0.0)
    assert calls == []
