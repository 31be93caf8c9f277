"""Tests of gradients with respect to source embeddings, against autograd and finite differences."""

import numpy as np
import pytest
import torch
from builders import TINY, describe, model, trainable, variants

from s2st.analysis.source_gradients import gradient_norms
from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES

SOURCE, TARGET = [4, 6, 5, 6], [5, 4, 4, 7]  # the source has a word twice
CASES = [
    (name, config)
    for name in trainable()
    if ARCHITECTURES.get(name).config_type.reads_source
    for config in variants(name)[:6]
]


def log_probs(made, source, target):
    batch = make_batch([source], [target], [0])
    state = made.initial_state(made.encode(batch.source))
    logits = made.project(made.decode(batch.target_in, state))[0]
    return logits.log_softmax(-1).gather(1, batch.target_out[0].unsqueeze(1)).squeeze(1)


def split_word(made, table, place):
    """Gives the word at a source position an id that only this position uses; returns the ids."""
    ids = list(SOURCE)
    with torch.no_grad():
        table.weight[9].copy_(table.weight[ids[place]])
    ids[place] = 9
    return ids


@pytest.mark.parametrize(("name", "config"), CASES, ids=[describe(*case) for case in CASES])
def test_norms_are_those_of_autograd_for_each_position_alone(name, config):
    made = model(name, config, 1).eval()
    found = gradient_norms(made, SOURCE, TARGET)
    assert found.shape == (5, 5)
    table = made.embeddings().source
    if table is made.embeddings().target:
        pytest.skip("the table's own gradient would include the target's")
    for place in range(4):
        ids = split_word(made, table, place)
        for t in range(5):
            word = log_probs(made, ids, TARGET)[t]
            if not word.requires_grad:
                assert found[t, place] == 0
                continue
            (gradient,) = torch.autograd.grad(word, [table.weight], allow_unused=True)
            expected = 0.0 if gradient is None else float(gradient[9].norm())
            assert found[t, place] == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", ["rnn", "lstm-reversed", "gru-attention", "transformer"])
def test_norms_are_those_of_finite_differences(name):
    made = model(name, variants(name)[0], 2).eval()
    found = gradient_norms(made, SOURCE, TARGET)
    table, step = made.embeddings().source, 1e-6
    for place in range(4):
        ids = split_word(made, table, place)
        columns = []
        with torch.no_grad():
            for column in range(table.embedding_dim):
                values = []
                for sign in (1, -1):
                    table.weight[9, column] += sign * step
                    values.append(log_probs(made, ids, TARGET))
                    table.weight[9, column] -= sign * step
                columns.append((values[0] - values[1]) / (2 * step))
        expected = torch.stack(columns).norm(dim=0)
        np.testing.assert_allclose(found[:, place], expected.numpy(), rtol=1e-5, atol=1e-8)


def test_a_linear_rnn_of_one_cell_by_hand():
    """With small weights, tanh(x) is x: each step multiplies the gradient by the weight u."""
    config = ARCHITECTURES.get("rnn").config_type(
        layers=1, hidden_size=1, embedding_size=1, dropout=0.0
    )
    made, u, w, tiny = model("rnn", config).eval(), 0.5, 0.25, 1e-7
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.source_embedding.weight.fill_(tiny)
        for stack in (made.encoder, made.decoder):
            stack.layers[0].weight_ih_l0.fill_(w)
            stack.layers[0].weight_hh_l0.fill_(u)
        made.softmax.weight[5] = 1.0
        words = len(made.softmax.weight)
    found = gradient_norms(made, SOURCE, [5, 5])
    # near h = 0 all words are equally probable: d log p / dh = 1 - 1 / V for the word 5
    factor = 1 - 1 / words
    for t in range(2):
        for s in range(5):
            lag = 5 + (t + 1) - (s + 1)
            assert found[t, s] == pytest.approx(factor * w * u**lag, rel=1e-4)


@pytest.mark.parametrize("name", ["lstm", "transformer", "lstm-attention"])
def test_chunks_of_target_words_do_not_matter(name, monkeypatch):
    made = model(name, variants(name)[1], 3).eval()
    whole = gradient_norms(made, SOURCE, TARGET)
    monkeypatch.setattr("s2st.analysis.source_gradients.POSITIONS", 20)
    np.testing.assert_allclose(gradient_norms(made, SOURCE, TARGET), whole, rtol=1e-12)
    assert "forward" not in vars(made.embeddings().source)


def test_a_tag_has_no_column():
    made = model("lstm", ARCHITECTURES.get("lstm").config_type(**TINY), 4).eval()
    with_tag = gradient_norms(made, SOURCE, TARGET, tag=8)
    np.testing.assert_allclose(
        with_tag, gradient_norms(made, [8, *SOURCE], TARGET)[:, 1:], rtol=1e-12
    )


def test_small_norms_do_not_underflow():
    made = model("rnn", ARCHITECTURES.get("rnn").config_type(**TINY), 5, dtype=torch.float32)
    made.eval()
    with torch.no_grad():
        made.encoder.layers[0].weight_ih_l0.mul_(1e-25)
    found = gradient_norms(made, SOURCE, TARGET)
    assert (found > 0).all()
    assert found.max() < 1e-20


def test_a_table_that_the_encoder_does_not_call_is_refused():
    made = model("lstm", ARCHITECTURES.get("lstm").config_type(**TINY), 6).eval()
    other = torch.nn.Embedding(10, 4).double()
    made.embeddings = lambda: type(made).embeddings(made).__class__(other, None)
    real = made.source_embedding.weight
    made.source_embedding.weight = torch.nn.Parameter(torch.cat([real, real, real]))
    with pytest.raises(UsageError, match="no gradient reaches"):
        gradient_norms(made, SOURCE, TARGET)
