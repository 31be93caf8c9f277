"""Recurrent layers on sentences of different lengths against torch's packed sequences."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from s2st.models.recurrent.layer_stack import Stack

LENGTHS = [[4, 4, 4], [6, 3, 6, 3, 5], [1], [1, 7], [2, 9, 9, 2, 9, 1]]


def packed(stack, inputs, lengths):
    """Last states by torch alone."""
    sequence = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    finals = []
    for layer in stack.layers:
        sequence, final = layer(sequence)
        finals.append(final if isinstance(final, tuple) else (final,))
    return torch.cat([part for kind in zip(*finals, strict=True) for part in kind])


@pytest.mark.parametrize("way", ["run_packed", "run_padded", "_run_sequence"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_states_and_gradients_are_those_of_packed_sequences(cell, lengths, way):
    """As it comes, in stretches, and as on a GPU; with two columns of padding too many."""
    torch.manual_seed(sum(lengths))
    stack = Stack(cell, 3, 5, 2).double()
    inputs = torch.randn(max(lengths) + 2, len(lengths), 3, dtype=torch.float64, requires_grad=True)
    found = getattr(stack, way)(inputs, torch.tensor(lengths), 0.0)
    found = found[1] if isinstance(found, tuple) else found
    expected = packed(stack, inputs, torch.tensor(lengths))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    chosen = torch.randn_like(expected)
    wanted = [inputs, *stack.parameters()]
    own = torch.autograd.grad((found * chosen).sum(), wanted)
    theirs = torch.autograd.grad((expected * chosen).sum(), wanted)
    for mine, its in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-11)
    assert not own[0][max(lengths) :].any()


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_padded_outputs_are_those_of_each_sentence_alone(lengths):
    torch.manual_seed(sum(lengths))
    stack = Stack("lstm", 3, 5, 2).double()
    inputs = torch.randn(max(lengths) + 2, len(lengths), 3, dtype=torch.float64)
    outputs, _ = stack.run_padded(inputs, torch.tensor(lengths), 0.0)
    for column, length in enumerate(lengths):
        alone, _ = stack.run(inputs[:length, column : column + 1], None, 0.0)
        torch.testing.assert_close(outputs[:length, column], alone[:, 0], rtol=0, atol=1e-12)
        assert not outputs[length:, column].any()


def test_a_part_of_a_stack_holds_the_very_layers():
    stack = Stack("gru", 3, 5, 3)
    part = stack.part(1, 3)
    assert part.planes == 2
    assert list(part.layers) == list(stack.layers[1:])
    assert {id(p) for p in part.parameters()} == {id(p) for p in stack.layers[1:].parameters()}


def test_dropout_between_layers_is_drawn_in_stretches_too():
    torch.manual_seed(1)
    stack = Stack("lstm", 3, 5, 2).train()
    inputs, lengths = torch.randn(9, 4, 3), torch.tensor([9, 9, 5, 9])
    same, other = (stack.run_packed(inputs, lengths, rate) for rate in (0.0, 0.5))
    torch.testing.assert_close(same[[0, 2]], other[[0, 2]])  # the first layer reads no dropout
    assert (same[[1, 3]] - other[[1, 3]]).abs().max() > 1e-3
