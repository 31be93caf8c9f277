"""RNN, GRU and LSTM cells against the equations of `recurrent.py` written out in NumPy."""

import numpy as np
import pytest
import torch
from builders import TINY, model, source_batch

from s2st.models.base import ModelSizes, reverse_tokens
from s2st.models.configs import RecurrentConfig, VanillaConfig
from s2st.models.recurrent.cell_formulas import SigmoidRNN
from s2st.models.recurrent.encoder_decoder import RecurrentModel
from s2st.models.recurrent.layer_stack import Stack
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID

CELLS = ["lstm", "gru", "rnn", "rnn-sigmoid"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell_step(cell, weights, x, hidden, memory):
    """One step of one layer on one row: (h_t, c_t); c_t is carried along unused but for LSTMs.

    torch stacks the gates: i, f, g, o for the LSTM; r, z, n for the GRU.
    """
    w, u, b, d = weights
    size = len(hidden)

    def gate(matrix, bias, vector, index):
        rows = slice(index * size, (index + 1) * size)
        return matrix[rows] @ vector + bias[rows]

    if cell == "rnn-sigmoid":
        return sigmoid(w @ x + b + u @ hidden + d), memory
    if cell == "rnn":
        return np.tanh(w @ x + b + u @ hidden + d), memory
    if cell == "gru":
        r = sigmoid(gate(w, b, x, 0) + gate(u, d, hidden, 0))
        z = sigmoid(gate(w, b, x, 1) + gate(u, d, hidden, 1))
        n = np.tanh(gate(w, b, x, 2) + r * gate(u, d, hidden, 2))
        return (1 - z) * n + z * hidden, memory
    i, f, g, o = (gate(w, b, x, k) + gate(u, d, hidden, k) for k in range(4))
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(memory), memory


def array(parameter):
    return parameter.detach().numpy()


def layers_of(stack):
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return [[array(getattr(layer, name)) for name in names] for layer in stack.layers]


def run_stack(cell, stack, x, state):
    """All layers on one input vector: the new list of (hidden, memory)."""
    after = []
    for weights, (hidden, memory) in zip(layers_of(stack), state, strict=True):
        hidden, memory = cell_step(cell, weights, x, hidden, memory)
        after.append((hidden, memory))
        x = hidden
    return after


def numpy_translation(cell, tiny, source, target_in):
    """Logits after each word of target_in, for one source given with its EOS."""
    zero = np.zeros(tiny.config.hidden_size)
    state = [(zero, zero)] * tiny.config.layers
    for word in source:
        state = run_stack(cell, tiny.encoder, array(tiny.source_embedding.weight)[word], state)
    context = state[-1][0]
    logits = []
    for word in target_in:
        x = array(tiny.target_embedding.weight)[word]
        if tiny.config.context == "every-step":
            x = np.concatenate([x, context])
        state = run_stack(cell, tiny.decoder, x, state)
        logits.append(array(tiny.softmax.weight) @ state[-1][0])
    return np.array(logits)


def made(cell, layers, context, reverse):
    """A tiny model with these cells."""
    values = {**TINY, "layers": layers, "context": context, "reverse_source": reverse}
    if cell.startswith("rnn"):
        kind = "sigmoid" if cell == "rnn-sigmoid" else "tanh"
        return model("rnn", VanillaConfig(**values, nonlinearity=kind), seed=layers).eval()
    return model(cell, RecurrentConfig(**values), seed=layers).eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("context", ["first-state", "every-step"])
@pytest.mark.parametrize("reverse", [False, True])
@torch.no_grad()
def test_encoder_and_steps_follow_the_equations(cell, layers, context, reverse):
    tiny = made(cell, layers, context, reverse)
    sources = [[4, 5, 6, 9], [7], [], [8, 8, 3]]
    state = tiny.initial_state(tiny.encode(source_batch(sources)))
    target_in = [BOS_ID, 4, 3, 7]
    steps = []
    for word in target_in:
        result = tiny.step(torch.full((4,), word), state)
        assert result.attention is None
        steps.append(tiny.project(result.features).numpy())
        state = result.state
    for row, source in enumerate(sources):
        words = [*(source[::-1] if reverse else source), EOS_ID]
        expected = numpy_translation(cell, tiny, words, target_in)
        np.testing.assert_allclose(np.array(steps)[:, row], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_the_encoders_state_is_every_layers_hidden_and_cell_state(cell):
    """The paper's 4 layers x 2 x 1000 = 8000 numbers: here 2 layers x 2 (LSTM) x 6."""
    tiny = made(cell, 2, "first-state", False)
    (memory,) = tiny.encode(source_batch([[4, 5]])).final
    zero = np.zeros(6)
    state = [(zero, zero)] * 2
    for word in (4, 5, EOS_ID):
        state = run_stack(cell, tiny.encoder, array(tiny.source_embedding.weight)[word], state)
    planes = [hidden for hidden, _ in state]
    if cell == "lstm":
        planes += [memory_ for _, memory_ in state]
    np.testing.assert_allclose(memory[:, 0].numpy(), np.array(planes), rtol=0, atol=1e-12)


def test_reversal_keeps_eos_and_padding_in_place():
    batch = source_batch([[4, 5, 6], [], [7], [8, 9]])
    assert reverse_tokens(batch).tolist() == [
        [6, 5, 4, EOS_ID],
        [EOS_ID, PAD_ID, PAD_ID, PAD_ID],
        [7, EOS_ID, PAD_ID, PAD_ID],
        [9, 8, EOS_ID, PAD_ID],
    ]
    assert batch.tokens[0].tolist() == [4, 5, 6, EOS_ID]


def test_uniform_init_stays_in_its_range_and_fills_it():
    config = RecurrentConfig(
        layers=2, hidden_size=40, embedding_size=30, dropout=0.0, init="uniform", init_range=0.08
    )
    torch.manual_seed(0)
    made = RecurrentModel("lstm", config, ModelSizes(50, 60))
    for name, parameter in made.named_parameters():
        assert parameter.abs().max() <= 0.08, name
        # of so many uniform draws the largest is near the bound
        assert parameter.abs().max() > 0.07, name
    for table in (made.source_embedding, made.target_embedding):
        assert not table.weight[PAD_ID].any()


def test_training_draws_dropout_and_evaluation_does_not():
    tiny = model("lstm", RecurrentConfig(**{**TINY, "layers": 2, "dropout": 0.5}))
    source = source_batch([[4, 5, 6]])
    target_in = torch.tensor([[BOS_ID, 4, 5]])

    def features():
        return tiny.decode(target_in, tiny.initial_state(tiny.encode(source)))

    torch.manual_seed(1)
    first = features()
    assert not torch.equal(first, features())
    torch.manual_seed(1)
    assert torch.equal(first, features())
    tiny.eval()
    assert torch.equal(features(), features())


def test_sizes_must_be_set():
    with pytest.raises(ValueError, match="must be set"):
        RecurrentModel("lstm", RecurrentConfig(), ModelSizes(9, 9))


def test_the_equations_are_registered_under_their_names():
    for cell in CELLS:
        kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
        kind = kinds.get(cell, SigmoidRNN)
        assert type(made(cell, 1, "first-state", False).encoder.layers[0]) is kind


@pytest.mark.parametrize("lengths", [[4, 4, 4], [6, 3, 6, 3, 5], [1, 7]], ids=str)
def test_sigmoid_layers_and_their_gradients_are_a_loop_over_each_sentence(lengths):
    """Also after dropout and in a stack of three, with two columns of padding too many."""
    torch.manual_seed(sum(lengths))
    stack = Stack("rnn-sigmoid", 3, 5, 3).double()
    inputs = torch.randn(max(lengths) + 2, len(lengths), 3, dtype=torch.float64, requires_grad=True)
    outputs, found = stack.run_padded(inputs, torch.tensor(lengths), 0.0)
    whole, _ = stack.run(inputs, None, 0.0)
    columns = []
    for row, length in enumerate(lengths):
        states = [torch.zeros(5, dtype=torch.float64)] * 3
        for place in range(length):
            x = inputs[place, row]
            for index, layer in enumerate(stack.layers):
                total = layer.weight_ih_l0 @ x + layer.bias_ih_l0 + layer.bias_hh_l0
                x = 1 / (1 + torch.exp(-total - layer.weight_hh_l0 @ states[index]))
                states[index] = x
            torch.testing.assert_close(outputs[place, row], x, rtol=0, atol=1e-12)
            torch.testing.assert_close(whole[place, row], x, rtol=0, atol=1e-12)
        columns.append(torch.stack(states))
    expected = torch.stack(columns, dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    wanted = [inputs, *stack.parameters()]
    own = torch.autograd.grad((found**2).sum(), wanted)
    theirs = torch.autograd.grad((expected**2).sum(), wanted)
    for mine, its in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)
    stack.prepare("float32")
    steps, _ = stack.run(inputs.detach(), torch.zeros(3, len(lengths), 5).double(), 0.0)
    torch.testing.assert_close(steps, whole.detach(), rtol=0, atol=1e-12)
