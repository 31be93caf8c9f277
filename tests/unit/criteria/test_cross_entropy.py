"""Criteria against torch's own cross entropy on full, padded logits."""

import math

import pytest
import torch
import torch.nn.functional as F
from builders import TINY, model, random_sentences, variants

from s2st.criteria.registry import CRITERIA
from s2st.data.batch import make_batch
from s2st.models.configs import RecurrentConfig
from s2st.text.vocabulary import PAD_ID


def criterion(name, **options):
    entry = CRITERIA.get(name)
    return entry.build(entry.config_type(**options))


def sample():
    targets = random_sentences(6, 8, 11)
    return make_batch(random_sentences(6, 10, 12), targets, range(6))


def naive(tiny, batch, smoothing):
    """torch's sum over all T positions of all rows, padding left out by ignore_index."""
    logits = tiny.project(
        tiny.decode(batch.target_in, tiny.initial_state(tiny.encode(batch.source)))
    )
    return F.cross_entropy(
        logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD_ID,
        reduction="sum", label_smoothing=smoothing,
    )  # fmt: skip


@pytest.fixture(params=range(len(variants("lstm"))))
def tiny(request):
    return model("lstm", variants("lstm")[request.param]).eval()


@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1, 0.5])
def test_sum_and_gradient_equal_torchs_on_padded_logits(tiny, smoothing):
    batch = sample()
    if smoothing is None:
        output = criterion("cross-entropy")(tiny, batch)
    else:
        name = "label-smoothed-cross-entropy"
        output = criterion(name, label_smoothing=smoothing)(tiny, batch)
    expected = naive(tiny, batch, smoothing or 0.0)
    torch.testing.assert_close(output.loss_sum, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(output.nll_sum, naive(tiny, batch, 0.0).detach(), rtol=1e-12, atol=0)
    assert output.token_count == sum(len(row) + 1 for row in random_sentences(6, 8, 11))
    assert output.sentence_count == 6
    assert not output.nll_sum.requires_grad
    parameters = list(tiny.parameters())
    own = torch.autograd.grad(output.loss_sum, parameters)
    theirs = torch.autograd.grad(expected, parameters)
    for mine, its in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-10)


def test_a_model_that_knows_nothing_pays_log_v_a_word():
    tiny = model("lstm", RecurrentConfig(**TINY)).eval()
    with torch.no_grad():
        tiny.softmax.weight.zero_()
    batch = sample()
    for name in CRITERIA.names():
        output = criterion(name)(tiny, batch)
        assert output.loss_sum.item() == pytest.approx(output.token_count * math.log(8))
        assert output.nll_sum.item() == pytest.approx(output.token_count * math.log(8))


def test_neighbours_and_padding_add_nothing():
    tiny = model("lstm", RecurrentConfig(**TINY)).eval()
    sources, targets = random_sentences(6, 10, 12), random_sentences(6, 8, 11)
    for name in CRITERIA.names():
        together = criterion(name)(tiny, make_batch(sources, targets, range(6))).loss_sum
        apart = sum(
            criterion(name)(tiny, make_batch([s], [t], [0])).loss_sum
            for s, t in zip(sources, targets, strict=True)
        )
        torch.testing.assert_close(together, apart, rtol=1e-12, atol=0)
