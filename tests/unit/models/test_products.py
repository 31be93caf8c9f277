"""Packed weights against plain matrix products and the unpacked model."""

import numpy as np
import pytest
import torch
from builders import model, source_batch, trainable, variants

from s2st.models.packed.packed_linear import PackedWeight, PlainWeight, can_pack, make_product
from s2st.models.recurrent import token_steps as stepping

needs_packing = pytest.mark.skipif(not can_pack(), reason="torch has no packed products")


@needs_packing
@pytest.mark.parametrize("rows", [0, 1, 5, 130])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_products_against_numpy(rows, bias):
    rng = np.random.default_rng(rows)
    weight, inputs = rng.normal(size=(37, 19)), rng.normal(size=(rows, 19))
    added = rng.normal(size=37) if bias else None
    expected = inputs @ weight.T + (0 if added is None else added)
    for dtype, error in ((torch.float32, 1e-5), (torch.bfloat16, 0.15)):
        if not can_pack(dtype):
            continue
        own = None if added is None else torch.from_numpy(added).float()
        product = PackedWeight(torch.from_numpy(weight).float(), own, dtype)
        found = product(torch.from_numpy(inputs).float())
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=error)


@needs_packing
def test_the_kind_of_product():
    weight = torch.randn(3, 4)
    assert isinstance(make_product(weight, None, "float32"), PackedWeight)
    narrow = make_product(weight, None, "bfloat16")
    if can_pack(torch.bfloat16):
        assert narrow.dtype == torch.bfloat16
    else:  # a CPU without its instructions: autocast makes the plain product narrow
        assert isinstance(narrow, PlainWeight)
    assert isinstance(make_product(weight.double(), None, "float32"), PlainWeight)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", trainable())
def test_a_prepared_model_reads_and_steps_as_the_plain_one(name, precision, monkeypatch):
    monkeypatch.setattr(stepping, "STEP_ROWS", 2)  # so that rows are cut
    error = 1e-5 if precision == "float32" else 0.1
    for config in variants(name):
        plain = model(name, config, dtype=torch.float32).eval()
        fast = model(name, config, dtype=torch.float32).eval()
        fast.prepare(precision)
        source = source_batch([[4, 5, 6], [7], [8, 9, 4, 4, 5], [7, 7, 7], [5]])
        target = torch.tensor([[1, 4, 5], [1, 6, 4], [1, 7, 7], [1, 4, 4], [1, 5, 6]])
        with torch.inference_mode():
            start, exact = (m.initial_state(m.encode(source)) for m in (fast, plain))
            state = start
            for position in range(target.shape[1]):
                step = fast.step(target[:, position], state)
                state = step.state
            expected = plain.decode(target, exact)
            for features in (fast.decode(target, start)[:, -1], step.features):
                torch.testing.assert_close(features, expected[:, -1], rtol=0, atol=error)
            logits = fast.project(expected)
            torch.testing.assert_close(logits, plain.project(expected), rtol=0, atol=6 * error)
