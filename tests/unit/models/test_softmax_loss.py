"""The softmax loss in chunks against torch's own cross entropy and automatic gradients."""

import pytest
import torch
import torch.nn.functional as F
from builders import equal_lengths, model, trainable, variants
from torch.utils._python_dispatch import TorchDispatchMode

from s2st.models.base import Seq2SeqModel
from s2st.models.softmax import chunked_loss
from s2st.models.softmax.chunked_loss import softmax_loss

SMOOTHINGS = [0.0, 0.1, 1.0]


@pytest.fixture
def chunks_of_4(monkeypatch):
    monkeypatch.setattr(chunked_loss, "FEWEST_ROWS", 4)
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", 1)


def sample(rows, words=7, width=3, dtype=torch.float64, spread=1.0):
    generator = torch.Generator().manual_seed(rows)
    features = spread * torch.randn(rows, width, generator=generator, dtype=dtype)
    weight = spread * torch.randn(words, width, generator=generator, dtype=dtype)
    chosen = torch.randint(0, words, (rows,), generator=generator)
    return features.requires_grad_(), weight.requires_grad_(), chosen


def torchs(features, weight, words, smoothing):
    return F.cross_entropy(
        F.linear(features, weight), words, reduction="sum", label_smoothing=smoothing
    )


@pytest.mark.usefixtures("chunks_of_4")
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 8, 9, 23])
def test_loss_and_gradients_are_torchs_at_every_chunk_boundary(rows, smoothing):
    features, weight, words = sample(rows, spread=5.0)
    loss, nll = softmax_loss(features, weight, words, smoothing)
    expected = torchs(features, weight, words, smoothing)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        nll, torchs(features, weight, words, 0.0).detach(), rtol=1e-12, atol=1e-12
    )
    assert not nll.requires_grad
    own = torch.autograd.grad(0.3 * loss, (features, weight))
    theirs = torch.autograd.grad(0.3 * expected, (features, weight))
    for mine, its in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("chunks_of_4")
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_gradients_are_those_of_finite_differences(smoothing):
    features, weight, words = sample(6)
    assert torch.autograd.gradcheck(
        lambda f, w: softmax_loss(f, w, words, smoothing)[0], (features, weight)
    )


def test_only_the_gradients_asked_for_are_made():
    features, weight, words = sample(6)
    expected = torch.autograd.grad(torchs(features, weight, words, 0.0), (features, weight))
    for index, inputs in enumerate([(features, weight.detach()), (features.detach(), weight)]):
        loss, _ = softmax_loss(*inputs, words, 0.0)
        (found,) = torch.autograd.grad(loss, inputs[index])
        torch.testing.assert_close(found, expected[index], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("chunks_of_4")
def test_float32_and_logits_far_apart():
    """Logits of hundreds: exponentials overflow without care, and most probabilities are 0."""
    features, weight, words = sample(9, words=50, dtype=torch.float32, spread=20.0)
    exact = [x.detach().double().requires_grad_() for x in (features, weight)]
    loss, nll = softmax_loss(features, weight, words, 0.1)
    expected = torchs(*exact, words, 0.1)
    assert loss.dtype == nll.dtype == torch.float32
    assert expected > 1000
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    own = torch.autograd.grad(loss, (features, weight))
    theirs = torch.autograd.grad(expected, exact)
    for mine, its in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine.double(), its, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("chunks_of_4")
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_bfloat16_autocast_rounds_products_only(smoothing):
    """Against exact sums of the inputs rounded to bfloat16; losses and gradients stay float32."""
    features, weight, words = sample(30, words=40, width=16, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, nll = softmax_loss(features, weight, words, smoothing)
        own = torch.autograd.grad(loss, (features, weight))
    assert {x.dtype for x in (loss, nll, *own)} == {torch.float32}
    rounded = [x.detach().bfloat16().double().requires_grad_() for x in (features, weight)]
    expected = torchs(*rounded, words, smoothing)
    torch.testing.assert_close(loss.double(), expected, rtol=2e-3, atol=0)
    for mine, its in zip(own, torch.autograd.grad(expected, rounded), strict=True):
        assert (mine - its).norm() < 0.01 * its.norm()


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation gave."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("training", [True, False])
def test_all_logits_are_never_held(monkeypatch, training):
    monkeypatch.setattr(chunked_loss, "FEWEST_ROWS", 8)
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", 8 * 4 * 5000)
    features, _, words = sample(400, words=5000, width=2, dtype=torch.float32)
    weight = torch.randn(5000, 2, requires_grad=True)
    with Largest() as seen, torch.set_grad_enabled(training):
        loss, _ = softmax_loss(features, weight, words, 0.1)
        if training:
            loss.backward()
    assert seen.elements == 8 * 5000


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("name", trainable())
def test_every_architectures_loss_is_the_plain_one(name, smoothing):
    """With gradient and without, where the path is another."""
    for config in variants(name):
        tiny = model(name, config).eval()
        if equal_lengths(tiny):
            pytest.skip("knows where EOS stands, which it leaves out of its loss")
        features, _, words = sample(11, tiny.softmax.words, tiny.config.hidden_size)
        plain = Seq2SeqModel.target_loss(tiny, features, words, smoothing)
        logits = tiny.project(features)
        expected = F.cross_entropy(logits, words, reduction="sum", label_smoothing=smoothing)
        torch.testing.assert_close(plain[0], expected, rtol=1e-12, atol=0)
        assert not plain[1].requires_grad
        for gradient in (True, False):
            with torch.set_grad_enabled(gradient):
                found = tiny.target_loss(features, words, smoothing)
            assert found[0].requires_grad == gradient
            torch.testing.assert_close(found, plain, rtol=1e-11, atol=0)
