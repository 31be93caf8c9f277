"""Schedules against rates worked out by hand."""

import json
import math

import pytest

from s2st.training.lr_schedules import SCHEDULES


def schedule(name, **options):
    entry = SCHEDULES.get(name)
    return entry.build(entry.config_type(**options))


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0.0, 0.7),
        (4.999, 0.7),
        (5.0, 0.35),
        (5.499, 0.35),
        (5.5, 0.175),
        (6.0, 0.0875),
        (6.5, 0.04375),
        (7.0, 0.021875),
        (7.499, 0.021875),  # the last of 7.5 epochs: 0.7 / 32
    ],
)
def test_the_papers_rates(epoch, rate):
    assert 0.7 * schedule("halve-after").factor(1, epoch) == pytest.approx(rate, rel=1e-12)


def test_halvings_fall_on_the_update_that_ends_a_half_epoch():
    """Epochs as the trainer counts them: whole + batches used / batches, in floating point."""
    halving = schedule("halve-after", halve_after=1.0, halve_every=0.5)
    for batches in (2, 6, 14, 98, 1000):
        rates = [halving.factor(0, e + k / batches) for e in range(3) for k in range(batches)]
        half = batches // 2
        expected = [1.0] * batches + [0.5] * half + [0.25] * half + [0.125] * half + [1 / 16] * half
        assert rates == expected
    every_third = schedule("halve-after", halve_after=0.0, halve_every=0.1)
    rates = [every_third.factor(0, k / 10) for k in range(10)]
    assert rates == [0.5 ** (k + 1) for k in range(10)]


def test_fixed():
    assert {schedule("fixed").factor(u, u / 7) for u in range(1, 50)} == {1.0}


def test_inverse_sqrt_by_hand():
    inverse = schedule("inverse-sqrt", warmup_updates=100)
    assert inverse.factor(1, 0.0) == pytest.approx(0.01)
    assert inverse.factor(50, 0.0) == pytest.approx(0.5)
    assert inverse.factor(100, 0.0) == 1.0
    assert inverse.factor(400, 0.0) == pytest.approx(0.5)
    assert inverse.factor(10_000, 9.0) == pytest.approx(0.1)


def test_inverse_sqrt_is_the_published_schedule():
    """d_model^-0.5 * min(step^-0.5, step * warmup^-1.5), from its largest value on."""
    published, warmup = schedule("inverse-sqrt"), 4000
    for width in (512, 1024):
        base = (width * warmup) ** -0.5
        for step in (1, 17, 3999, 4000, 4001, 100_000):
            expected = width**-0.5 * min(step**-0.5, step * warmup**-1.5)
            assert base * published.factor(step, 0.0) == pytest.approx(expected, rel=1e-12)


def factors(plateau, losses):
    seen = []
    for loss in losses:
        plateau.validated(loss)
        seen.append(plateau.factor(1, 1.0))
    return seen


def test_plateau_by_hand():
    losses = [3.0, 2.0, 2.0, 1.9, 2.5, 2.4, 1.8]
    assert factors(schedule("plateau"), losses) == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.125]
    patient = schedule("plateau", plateau_patience=1, plateau_factor=0.1)
    losses = [3.0, 3.0, 2.9, 2.9, 2.9, 2.9, 2.9]
    expected = [1, 1, 1, 1, 0.1, 0.1, 0.01]
    assert factors(patient, losses) == pytest.approx(expected)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_a_restored_schedule_goes_on_as_the_old_one(name):
    """Its state goes through JSON, as in a checkpoint, infinities too."""
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.5]
    for cut in range(len(losses)):
        old, new = schedule(name), schedule(name)
        factors(old, losses[:cut])
        new.restore(json.loads(json.dumps(old.state())))
        assert factors(new, losses[cut:]) == factors(old, losses[cut:])


def test_factors_are_sane_from_the_first_update_on():
    for name in SCHEDULES.names():
        made = schedule(name)
        for update in (1, 2, 10, 10**6):
            factor = made.factor(update, update / 100)
            assert math.isfinite(factor)
            assert 0 <= factor <= 1
