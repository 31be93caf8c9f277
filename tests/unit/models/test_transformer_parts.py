"""Products, dropout and packing of the Transformer against torch's own functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from s2st.models.packed import trained_linear
from s2st.models.packed.trained_linear import linear
from s2st.models.transformer.layers import MultiHeadAttention
from s2st.models.transformer.packing import packing_of


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("inner", "outer"), [(24, 56), (56, 24)])
def test_products_and_their_gradients_are_torchs(inner, outer, relu):
    torch.manual_seed(1)
    tensors = [torch.randn(3, 70, inner), torch.randn(outer, inner), torch.randn(outer)]
    for tensor in tensors:
        tensor.requires_grad_()
    if trained_linear.can_pack():
        assert trained_linear.uses_onednn(tensors[0], tensors[1])  # else this tests nothing
    gradient = torch.randn(3, 70, outer)
    expected = F.linear(*tensors)
    expected = torch.relu(expected) if relu else expected
    made = linear(*tensors, relu=relu)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    pairs = zip(
        torch.autograd.grad(made, tensors, gradient),
        torch.autograd.grad(expected, tensors, gradient),
        strict=True,
    )
    for own, theirs in pairs:
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-4)


def test_products_need_no_gradient_of_what_is_frozen():
    inputs, weight = torch.randn(200, 8), torch.randn(4, 8)
    bias = torch.zeros(4, requires_grad=True)
    linear(inputs, weight, bias).sum().backward()
    assert torch.equal(bias.grad, torch.full((4,), 200.0))
    assert inputs.grad is None
    assert weight.grad is None


def test_products_follow_autocast():
    inputs, weight = torch.randn(200, 8), torch.randn(4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(inputs, weight).dtype == torch.bfloat16


@pytest.mark.parametrize("lengths", [[3, 5, 1], [4, 4], [2]])
def test_packing_keeps_the_real_positions_and_their_gradients(lengths):
    width = 5 if len(lengths) > 2 else max(lengths)
    packing = packing_of(torch.tensor(lengths), width, torch.device("cpu"))
    mask = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    padded = torch.randn(len(lengths), width, 6, requires_grad=True)
    packed = packing.pack(padded)
    assert torch.equal(packed, padded[mask])
    gradient = torch.randn_like(packed)
    (own,) = torch.autograd.grad(packed, padded, gradient)
    expected = torch.zeros_like(padded)
    expected[mask] = gradient
    assert torch.equal(own, expected)
    rows = torch.randn(len(packed), 6, requires_grad=True)
    spread = packing.unpack(rows)
    assert torch.equal(spread[mask], rows)
    assert spread.isfinite().all()
    (own,) = torch.autograd.grad(spread, rows, expected)
    assert torch.equal(own, gradient)
    assert (packing.mask is None) == bool(mask.all())


def test_gradients_add_up_over_batches():
    torch.manual_seed(4)
    inputs, weight = torch.randn(512, 16), nn.Parameter(torch.randn(32, 16))
    linear(inputs, weight).square().sum().backward()
    whole = weight.grad
    weight.grad = None
    for half in inputs.chunk(2):
        linear(half, weight).square().sum().backward()
    torch.testing.assert_close(weight.grad, whole, rtol=1e-5, atol=1e-3)
    assert weight.grad.is_contiguous()


@pytest.mark.parametrize("causal", [False, True])
def test_attention_trained_in_bfloat16_computes_in_float32(causal):
    """Its result is the float32 one rounded once: the parts of attention are not rounded."""
    attention = MultiHeadAttention(8, 2)
    parts = [torch.randn(3, 5, 8), torch.randn(3, 2, 5, 4), torch.randn(3, 2, 5, 4)]
    narrow = [part.bfloat16().requires_grad_() for part in parts]
    wide = [part.detach().float().requires_grad_() for part in narrow]
    with torch.autocast("cpu", torch.bfloat16):
        made = attention.attend(*narrow, causal=causal)
    expected = attention.attend(*wide, causal=causal)
    assert torch.equal(made, expected.bfloat16())
    gradient = torch.randn_like(expected).bfloat16()
    made.backward(gradient)
    expected.backward(gradient.float())
    for own, other in zip(narrow, wide, strict=True):
        torch.testing.assert_close(own.grad, other.grad.bfloat16(), rtol=0.01, atol=0.01)
