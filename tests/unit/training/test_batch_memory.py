"""The search for the largest `--max-tokens`, on memories whose answer is known."""

import numpy as np
import pytest

from s2st.data.batch_planner import BatchingConfig, plan_batches
from s2st.training.batch_memory import (
    MAX_EXTRAPOLATION,
    MIN_UPDATES,
    TokenGoal,
    find_token_limit,
    heaviest,
    largest_batch,
    tokens_for_updates,
)

GIB = 1 << 30
NEVER = 10**9


class Memory:
    """Memory of batches by a formula, and a clock that each trial moves by its tokens."""

    def __init__(self, peak, seconds_per_token=0.0):
        self.peak, self.tried, self.now, self.pace = peak, [], 0.0, seconds_per_token

    def peak_of(self, tokens):
        self.tried.append(tokens)
        self.now += tokens * self.pace
        return int(self.peak(tokens))

    def find(self, available=16 * GIB, first=512, ceiling=NEVER, seconds=60.0):
        return find_token_limit(
            self.peak_of,
            int(self.peak(0)),
            available,
            first,
            ceiling,
            seconds,
            clock=lambda: self.now,
        )


@pytest.mark.parametrize("base", [0, GIB, 7 * GIB])
@pytest.mark.parametrize("each", [1000, 50_000, 3_000_000])
def test_linear_memory_is_found_exactly_without_filling_it(base, each):
    memory = Memory(lambda tokens: base + each * tokens)
    limit = memory.find()
    exact = (0.9 * 16 * GIB - base) / each
    assert limit.tried == memory.tried[-1]
    assert limit.tokens == pytest.approx(min(exact, MAX_EXTRAPOLATION * limit.tried), abs=1)
    assert limit.tokens > exact / 2  # the memory is used, not only a part of it
    # no trial after the first fills more than half of what is free
    most = base + (0.9 * 16 * GIB - base) / 2
    assert all(memory.peak(tokens) <= most for tokens in memory.tried[1:])


def test_memory_that_grows_faster_is_never_overestimated_by_much():
    """An allocator that keeps pieces: steps and a quadratic part; extrapolated by the steepest."""
    memory = Memory(lambda tokens: GIB + 30_000 * tokens + 0.05 * tokens**2)
    limit = memory.find()
    assert memory.peak(limit.tokens) < 1.5 * 0.9 * 16 * GIB
    flat = Memory(lambda tokens: max(2 * GIB, 40_000 * tokens))  # an earlier peak hides the start
    limit = flat.find()
    assert flat.peak(limit.tokens) <= 0.9 * 16 * GIB


def test_the_search_ends_in_time_and_extrapolates_little():
    memory = Memory(lambda tokens: GIB + 1000 * tokens, seconds_per_token=0.001)
    limit = memory.find(seconds=30)
    assert memory.now <= 30
    assert limit.tried == memory.tried[-1] == 8192
    assert limit.tokens == MAX_EXTRAPOLATION * 8192
    assert not limit.whole


def test_no_batch_is_larger_than_the_corpus():
    limit = Memory(lambda tokens: GIB).find(ceiling=3000)
    assert (limit.tokens, limit.tried, limit.whole) == (3000, 3000, True)
    assert Memory(lambda tokens: GIB).find(ceiling=100).tokens == 100


def test_what_does_not_fit_is_0_or_stays_below():
    assert Memory(lambda tokens: 17 * GIB).find().tokens == 0
    full = {0: GIB, 512: GIB, 1024: 2 * GIB, 2048: 100 * GIB}  # out of memory at 2048
    limit = Memory(full.__getitem__).find()
    assert limit.tried == 1024
    assert 1024 <= limit.tokens < 16_384


@pytest.mark.parametrize("seed", range(5))
def test_the_heaviest_batches_are_those_of_a_plain_search(seed):
    rng = np.random.default_rng(seed)
    sources, targets = rng.integers(0, 60, 300), rng.integers(1, 40, 300)
    plan = plan_batches(sources, targets, BatchingConfig(max_tokens=400), seed, 0)
    found = heaviest(plan, sources, targets)

    def cells(batch, weigh):
        return len(batch) * weigh(max(sources[batch]) + 1, max(targets[batch]) + 1)

    for weigh in (lambda s, t: s + t, lambda s, t: s * s + s * t + t * t):
        assert max(cells(b, weigh) for b in found) == max(cells(b, weigh) for b in plan)
    assert 1 <= len(found) <= 2


@pytest.mark.parametrize("freq", [1, 4])
def test_automatic_batches_leave_enough_updates(freq):
    lengths = np.random.default_rng(1).integers(1, 50, 40_000)
    goal = tokens_for_updates(lengths, freq)
    tokens = goal.tokens
    assert goal.rule == "an epoch has at least about 100 updates"
    plan = plan_batches(lengths, lengths, BatchingConfig(max_tokens=tokens), 1, 0)
    assert MIN_UPDATES <= len(plan) / freq < 1.3 * MIN_UPDATES
    few = np.full(500, 9)  # a small corpus: 64 sentences of 10 tokens, as by default
    assert tokens_for_updates(few, freq).tokens == 640
    assert "64 average pairs, as by default" in tokens_for_updates(few, freq).rule
    uneven = tokens_for_updates(np.array([1] * 400 + [4000]), 1)
    assert uneven == TokenGoal(4001, "the longest pair")


def test_no_batch_exceeds_what_is_called_the_largest():
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 30, 200)
    for config in (BatchingConfig(batch_size=7, max_tokens=10**6), BatchingConfig(None, 10**6)):
        plan = plan_batches(lengths, lengths, config, 1, 0)
        most = largest_batch(config, int(lengths.max()), len(lengths))
        assert max(len(b) * (lengths[b].max() + 1) for b in plan) <= most
