"""int8 products, against plain formulas."""

import numpy as np
import pytest
import torch
from builders import model, source_batch, trainable, variants

from s2st.errors import UsageError
from s2st.models.packed import int8_linear
from s2st.models.packed.int8_linear import Int8Weight, require_int8, round_rows


def test_rows_are_rounded_to_the_nearest_of_255_steps():
    values = torch.tensor([[1.0, -2.0, 0.0, 0.4], [0.0, 0.0, 0.0, 0.0]])
    rounded, scale = round_rows(values)
    # scale 2/127: 1 -> 63.5 (ties to even: 64), -2 -> -127, 0.4 -> 25.4
    assert rounded.tolist() == [[64, -127, 0, 25], [0, 0, 0, 0]]
    assert scale[0].item() == pytest.approx(2 / 127)


@pytest.mark.parametrize("exact", [True, False], ids=["int8", "whole numbers as floats"])
def test_int8_product_against_numpy_integers(monkeypatch, exact):
    if exact and not int8_linear.has_exact_products():
        pytest.skip("no exact int8 products here")
    monkeypatch.setattr(int8_linear, "has_exact_products", lambda: exact)
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


@pytest.mark.parametrize("name", trainable())
def test_a_quantized_model_steps_as_it_decodes_and_stays_close(name):
    for config in variants(name):
        plain = model(name, config, dtype=torch.float32).eval()
        rounded = model(name, config, dtype=torch.float32).eval()
        rounded.prepare("int8")
        target = torch.tensor([[1, 4, 5, 7], [1, 6, 4, 4]])
        source = source_batch([[4, 5, 6], [7, 4, 9]])
        with torch.inference_mode():
            start = rounded.initial_state(rounded.encode(source))
            features = rounded.decode(target, start)
            state = start
            for position in range(target.shape[1]):
                step = rounded.step(target[:, position], state)
                torch.testing.assert_close(features[:, position], step.features)
                state = step.state
            exact = plain.decode(target, plain.initial_state(plain.encode(source)))
            found, expected = rounded.project(features), plain.project(exact)
        possible = expected.isfinite()  # the aligned RNN knows where EOS stands
        assert torch.equal(found.isfinite(), possible)
        assert 0 < (found - expected)[possible].abs().max() < 0.2


def test_int8_is_for_cpus():
    with pytest.raises(UsageError, match="int8 works on CPUs only"):
        require_int8(torch.device("cuda"))
