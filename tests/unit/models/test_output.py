"""The softmax layer in blocks, and int8 products, against plain formulas."""

import numpy as np
import pytest
import torch
from builders import model, source_batch, trainable, variants

from s2st.errors import UsageError
from s2st.models import output
from s2st.models.base import Seq2SeqModel
from s2st.models.int8 import Int8Weight, require_int8, round_rows
from s2st.models.output import OutputLayer

needs_int8 = pytest.mark.skipif(not hasattr(torch, "_int_mm"), reason="torch has no int8 product")


def pairs(rows, words, count, seed):
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(np.sort(rng.integers(0, rows, count))),
        torch.from_numpy(rng.integers(0, words, count)),
    )


@pytest.mark.parametrize(("rows", "words"), [(1, 1), (7, 9), (11, 10), (5, 23), (0, 4)])
def test_blocks_give_the_softmax_of_all_words(monkeypatch, rows, words):
    """Blocks of 5 rows x 4 words, so that every shape is cut somewhere."""
    monkeypatch.setattr(output, "ROWS", 5)
    monkeypatch.setattr(output, "WORDS", 4)
    torch.manual_seed(rows * 31 + words)
    layer = OutputLayer(6, words).double()
    features = 40 * torch.randn(rows, 6, dtype=torch.float64)  # logits far apart
    asked = pairs(rows, words, 12 if rows else 0, 1)
    found = layer.word_log_probs(features, *asked)
    logits = features.numpy() @ layer.weight.detach().numpy().T
    shifted = logits - logits.max(axis=1, keepdims=True) if rows else logits
    expected = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    values = expected[asked[0].numpy(), asked[1].numpy()]
    np.testing.assert_allclose(found.detach().numpy(), values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", trainable())
def test_every_architectures_word_log_probs_are_those_of_its_projection(name):
    torch.manual_seed(3)
    for config in variants(name):
        tiny = model(name, config).eval()
        width = tiny.softmax.in_features
        features = torch.randn(9, width, dtype=torch.float64)
        asked = pairs(9, tiny.softmax.out_features, 20, 5)
        expected = torch.log_softmax(tiny.project(features), 1)[asked]
        plain = Seq2SeqModel.word_log_probs(tiny, features, *asked)
        for found in (tiny.word_log_probs(features, *asked), plain):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_rows_are_rounded_to_the_nearest_of_255_steps():
    values = torch.tensor([[1.0, -2.0, 0.0, 0.4], [0.0, 0.0, 0.0, 0.0]])
    rounded, scale = round_rows(values)
    # scale 2/127: 1 -> 63.5 (ties to even: 64), -2 -> -127, 0.4 -> 25.4
    assert rounded.tolist() == [[64, -127, 0, 25], [0, 0, 0, 0]]
    assert scale[0].item() == pytest.approx(2 / 127)


@needs_int8
def test_int8_product_against_numpy_integers():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(13, 37)).astype(np.float32)
    bias = rng.normal(size=13).astype(np.float32)
    inputs = rng.normal(size=(5, 37)).astype(np.float32)
    found = Int8Weight(torch.from_numpy(weight), torch.from_numpy(bias))(torch.from_numpy(inputs))

    def steps(values):
        scale = np.abs(values).max(axis=1, keepdims=True) / 127
        return np.rint(values / scale).astype(np.int64), scale

    (w, w_scale), (x, x_scale) = steps(weight), steps(inputs)
    expected = (x @ w.T) * x_scale * w_scale.T + bias
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)
    # and the rounding itself costs little: 37 products, each off by half a step at most
    assert np.abs(found.numpy() - (inputs @ weight.T + bias)).max() < 0.3


@needs_int8
@pytest.mark.parametrize("name", trainable())
def test_a_quantized_model_steps_as_it_decodes_and_stays_close(name):
    for config in variants(name):
        plain = model(name, config, dtype=torch.float32).eval()
        int8 = model(name, config, dtype=torch.float32).eval()
        int8.quantize()
        size = plain.softmax.out_features
        target = torch.tensor([[1, 4, 5, size - 1], [1, 6, 4, 4]])
        source = source_batch([[4, 5, 6], [7, 4]])
        with torch.inference_mode():
            start = int8.initial_state(int8.encode(source))
            features = int8.decode(target, start)
            state = start
            for position in range(target.shape[1]):
                step = int8.step(target[:, position], state)
                torch.testing.assert_close(features[:, position], step.features)
                state = step.state
            exact = plain.decode(target, plain.initial_state(plain.encode(source)))
            difference = (int8.project(features) - plain.project(exact)).abs().max()
        assert 0 < difference < 0.2


def test_int8_is_for_cpus():
    with pytest.raises(UsageError, match="int8 is for CPUs"):
        require_int8(torch.device("cuda"))
