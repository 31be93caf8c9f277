"""Dropout whose masks take few random numbers, against its definition."""

import pytest
import torch

from s2st.models.dropout import add_dropped, dropped


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.97])
def test_dropout_drops_the_share_that_it_is_told_to(probability):
    torch.manual_seed(2)
    values = torch.ones(300, 1001, requires_grad=True)
    made = dropped(values, probability, True)
    kept = made != 0
    # 4 standard deviations of a binomial share
    assert abs(kept.float().mean() - (1 - probability)) < 4 * 0.5 / values.numel() ** 0.5
    (factor,) = made[kept].unique().tolist()
    # the probability is a multiple of 2^-16
    assert abs(1 / factor - (1 - probability)) <= 0.5**16
    made.sum().backward()
    assert torch.equal(values.grad, made)
    # neighbors are drawn from the same integer of 64 bits: they must not depend on each other
    columns = kept[:, :1000].float().view(-1, 4) - kept.float().mean()
    covariance = columns.T @ columns / len(columns)
    apart = covariance - covariance.diag().diag()
    assert apart.abs().max() < 5 * 0.25 / len(columns) ** 0.5


@pytest.mark.parametrize("training", [False, True])
def test_dropout_and_sum_are_those_of_the_parts(training):
    base, update = torch.randn(9, 7, requires_grad=True), torch.randn(9, 7, requires_grad=True)
    torch.manual_seed(3)
    made = add_dropped(base, update, 0.3, training)
    torch.manual_seed(3)
    expected = base + dropped(update, 0.3, training)
    torch.testing.assert_close(made, expected)
    gradient = torch.randn(9, 7)
    for own, theirs in zip(
        torch.autograd.grad(made, (base, update), gradient),
        torch.autograd.grad(expected, (base, update), gradient),
        strict=True,
    ):
        torch.testing.assert_close(own, theirs)
    assert torch.equal(add_dropped(base, update, 0.0, True), base + update)


def test_dropout_and_sum_of_two_types_is_the_fast_one_too():
    base, update = torch.zeros(9, 7), torch.ones(9, 7, dtype=torch.bfloat16)
    torch.manual_seed(3)
    made = add_dropped(base, update, 0.3, True)
    torch.manual_seed(3)
    assert torch.equal(made, dropped(update, 0.3, True).float())
