"""The aligned RNN against a loop over torch's cells, and as a distribution."""

import math
from itertools import product

import pytest
import torch
from builders import TINY, model, random_sentences, scorer, source_batch
from torch import nn

from s2st.data.batch import make_batch
from s2st.errors import DataError, UsageError
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.configs import AlignedConfig
from s2st.models.model_building import build_model
from s2st.text.vocabulary import EOS_ID, PAD_ID

CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
SOURCE_SIZE, TARGET_SIZE = 10, 8


def tiny_model(**options):
    return model("aligned-rnn", AlignedConfig(**{**TINY, **options})).eval()


def equal_pairs(seed, count=6):
    """Random pairs of equal length, an empty one among them."""
    sources = random_sentences(count, SOURCE_SIZE, seed)
    generator = torch.Generator().manual_seed(seed)
    targets = [
        torch.randint(3, TARGET_SIZE, (len(source),), generator=generator).tolist()
        for source in sources
    ]
    return make_batch(sources, targets, range(count))


def log_probs_by_cells(tiny, ids):
    """(words, V - 1) of every word position of one sentence: all words but EOS."""
    layers = []
    for layer in tiny.layers.layers:
        cell = CELLS[tiny.config.cell](layer.input_size, layer.hidden_size).double()
        for name, weight in cell.named_parameters():
            weight.data = layer.get_parameter(f"{name}_l0").data
        layers.append((cell, None))
    rows = []
    for word in ids:
        x = tiny.source_embedding.weight[word].unsqueeze(0)
        for index, (cell, state) in enumerate(layers):
            state = cell(x, state)
            layers[index] = (cell, state)
            x = state[0] if isinstance(state, tuple) else state
        rows.append((tiny.softmax.matrix() @ x[0]).log_softmax(0))
    return torch.stack(rows) if rows else torch.empty(0, TARGET_SIZE - 1)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", list(CELLS))
@torch.no_grad()
def test_words_by_a_loop_over_torchs_cells(cell, layers):
    tiny = tiny_model(cell=cell, layers=layers)
    batch = equal_pairs(layers)
    state = tiny.initial_state(tiny.encode(batch.source))
    found = tiny.project(tiny.decode(batch.target_in, state)).log_softmax(-1)
    for row, length in enumerate(batch.source.lengths.tolist()):
        expected = log_probs_by_cells(tiny, batch.source.tokens[row, : length - 1].tolist())
        inside = found[row, : length - 1]
        others = [word for word in range(TARGET_SIZE) if word != EOS_ID]
        torch.testing.assert_close(inside[:, others], expected.double(), rtol=0, atol=1e-12)
        assert (inside[:, EOS_ID] == -math.inf).all()
        assert found[row, length - 1].exp().nonzero().flatten().tolist() == [EOS_ID]
        for beyond in found[row, length:]:
            assert beyond.exp().nonzero().flatten().tolist() == [PAD_ID]


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_targets_of_the_sources_length_sum_to_one_and_others_cannot_be(length):
    own = scorer("aligned-rnn", AlignedConfig(**TINY, cell="lstm"), 3)
    source = [4, 9, 3][:length]
    words = [word for word in range(TARGET_SIZE) if word != EOS_ID]
    every = [list(target) for target in product(words, repeat=length)]
    totals = own.score(make_batch([source] * len(every), every, range(len(every)))).sum(1)
    assert totals.exp().sum().item() == pytest.approx(1, abs=1e-12)
    for other in (length - 1, length + 1, length + 3):
        if other >= 0:
            (score,) = own.score(make_batch([source], [[4] * other], [0])).sum(1)
            assert score == -math.inf


@torch.no_grad()
def test_words_see_neither_what_follows_in_the_source_nor_earlier_words():
    tiny = tiny_model(layers=2, cell="gru")

    def made(source, target):
        state = tiny.initial_state(tiny.encode(source_batch([source])))
        return tiny.decode(torch.tensor([[1, *target]]), state)[0]

    first = made([4, 5, 6, 7], [4, 4, 4, 4])
    assert torch.equal(first, made([4, 5, 6, 7], [7, 5, 3, 6]))
    other = made([4, 5, 9, 7], [4, 4, 4, 4])
    assert torch.equal(first[:2], other[:2])
    assert (first[2:4] - other[2:4]).abs().amax(dim=1).min() > 1e-4


@torch.no_grad()
def test_attention_stands_on_the_words_own_position():
    tiny = tiny_model()
    state = tiny.initial_state(tiny.encode(source_batch([[4, 5], []])))
    found = []
    for _ in range(4):
        step = tiny.step(torch.tensor([4, 4]), state)
        found.append(step.attention.tolist())
        state = step.state
    nowhere = [0, 0, 0]
    assert found == [
        [[1, 0, 0], [1, 0, 0]],
        [[0, 1, 0], nowhere],
        [[0, 0, 1], nowhere],
        [nowhere, nowhere],
    ]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_over_all_words_but_eos(smoothing):
    """Against torch's cross entropy over the words of each source, one sentence at a time."""
    tiny = tiny_model(cell="lstm")
    batch = equal_pairs(5)
    tiny.check_pairs(batch)
    places = batch.target_positions()
    features = tiny.decode(batch.target_in, tiny.initial_state(tiny.encode(batch.source)))
    rows, words = features.flatten(0, 1)[places], batch.target_out.flatten()[places]
    loss, nll = tiny.target_loss(rows, words, smoothing)
    expected = expected_nll = 0
    for row, length in enumerate(batch.source.lengths.tolist()):
        log_probs = log_probs_by_cells(tiny, batch.source.tokens[row, : length - 1].tolist())
        others = [word for word in range(TARGET_SIZE) if word != EOS_ID]
        own = [others.index(word) for word in batch.target_out[row, : length - 1].tolist()]
        for values, word in zip(log_probs, own, strict=True):
            expected_nll -= values[word].item()
            expected -= (1 - smoothing) * values[word].item() + smoothing * values.mean().item()
    assert loss.item() == pytest.approx(expected)
    assert nll.item() == pytest.approx(expected_nll)
    assert not nll.requires_grad
    if not smoothing:
        plain = Seq2SeqModel.target_loss(tiny, rows, words, 0.0)[0]
        theirs = torch.autograd.grad(plain, list(tiny.parameters()), retain_graph=True)
        for mine, its in zip(
            torch.autograd.grad(loss, list(tiny.parameters())), theirs, strict=True
        ):
            torch.testing.assert_close(mine, its, rtol=0, atol=1e-10)


@pytest.mark.parametrize("softmax", ["adaptive", "sampled"])
def test_other_softmaxes_score_distributions(softmax):
    own = scorer("aligned-rnn", AlignedConfig(**TINY, softmax=softmax, adaptive_cutoffs=(3,)))
    batch = equal_pairs(2)
    state = own.start(batch.source)
    for position in range(batch.target_in.shape[1]):
        step = own.step(batch.target_in[:, position], state)
        torch.testing.assert_close(step.log_probs.exp().sum(1), torch.ones(6).double())
        state = step.state
    assert own.score(batch).isfinite().all()


def test_a_pair_of_unequal_lengths_is_named():
    tiny = tiny_model()
    tiny.check_pairs(make_batch([[4, 5], []], [[4, 5], []], [0, 1]))
    with pytest.raises(DataError) as caught:
        tiny.check_pairs(make_batch([[4], [4, 5], [4]], [[4], [4], []], [7, 41, 3]))
    message = str(caught.value)
    assert "pair 42 has 2 source and 1 target tokens" in message
    assert "remove such pairs" in message


def test_shared_embeddings_are_refused():
    config = AlignedConfig(**TINY, tie_embeddings="output")
    with pytest.raises(UsageError, match="no target embeddings"):
        build_model("aligned-rnn", config, ModelSizes(SOURCE_SIZE, TARGET_SIZE))


@torch.no_grad()
def test_sigmoid_cells_as_in_the_papers_section_2():
    """h_t = sigm(W x_t + U h_(t-1)), y_t = W h_t, with torch's biases."""
    tiny = tiny_model(nonlinearity="sigmoid", layers=1)
    (layer,) = tiny.layers.layers
    hidden = torch.zeros(layer.hidden_size, dtype=torch.float64)
    ids = [4, 7, 3, 9]
    found = tiny.encode(source_batch([ids])).states[0]
    for place, word in enumerate(ids):
        x = tiny.source_embedding.weight[word]
        total = layer.weight_ih_l0 @ x + layer.bias_ih_l0
        hidden = torch.sigmoid(total + layer.weight_hh_l0 @ hidden + layer.bias_hh_l0)
        torch.testing.assert_close(found[place], hidden, rtol=0, atol=1e-12)
    for cell in ("gru", "lstm"):
        with pytest.raises(UsageError, match="--cell rnn"):
            AlignedConfig(cell=cell, nonlinearity="sigmoid").check()
