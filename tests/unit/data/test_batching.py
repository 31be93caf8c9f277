"""Tests of the batch planner: a partition within limits, decided by seed and epoch alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2st.data.batch_planner import BatchingConfig, cut, plan_batches, plan_in_order

LENGTHS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60)
CONFIGS = st.builds(
    BatchingConfig,
    batch_size=st.integers(1, 12),
    max_tokens=st.none() | st.integers(1, 200),
    batching=st.sampled_from(["bucketed", "random"]),
)


def sides(pairs):
    return tuple(np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))


def check_partition(batches, widths, config):
    """Every sentence once; both limits kept, but for one sentence alone."""
    together = [int(i) for batch in batches for i in batch]
    assert sorted(together) == list(range(len(widths)))
    for batch in batches:
        assert 1 <= len(batch) <= config.batch_size
        if config.max_tokens is not None and len(batch) > 1:
            assert len(batch) * (1 + max(widths[int(i)] for i in batch)) <= config.max_tokens


@given(LENGTHS, CONFIGS, st.integers(0, 2**32), st.integers(0, 1000))
def test_an_epoch_is_every_sentence_once_within_the_limits(pairs, config, seed, epoch):
    source, target = sides(pairs)
    batches = plan_batches(source, target, config, seed, epoch)
    check_partition(batches, [max(pair) for pair in pairs], config)
    again = plan_batches(source, target, config, seed, epoch)
    assert [b.tolist() for b in batches] == [b.tolist() for b in again]


@given(LENGTHS, CONFIGS)
def test_in_order_is_every_sentence_once_longest_first(pairs, config):
    lengths, _ = sides(pairs)
    batches = plan_in_order(lengths, config)
    check_partition(batches, lengths.tolist(), config)
    flat = [int(lengths[i]) for batch in batches for i in batch]
    assert flat == sorted(flat, reverse=True)


def plain_cut(order, lengths, config):
    """Sentence by sentence, without looking ahead."""
    batches, batch = [], []
    for index in order.tolist():
        longer = [*batch, index]
        tokens = len(longer) * (1 + max(int(lengths[i]) for i in longer))
        full = len(longer) > config.batch_size
        full |= config.max_tokens is not None and tokens > config.max_tokens
        if batch and full:
            batches.append(batch)
            longer = [index]
        batch = longer
    return [*batches, batch] if batch else batches


@given(LENGTHS, CONFIGS)
def test_cutting_agrees_with_sentence_by_sentence(pairs, config):
    lengths = np.array([max(pair) for pair in pairs], dtype=np.int64)
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    found = cut(order, lengths, config)
    assert [batch.tolist() for batch in found] == plain_cut(order, lengths, config)


def test_a_batch_may_hold_exactly_as_many_tokens_as_allowed():
    lengths = np.array([1, 1, 1, 3, 8, 1])  # 2, 2, 2, 4, 9 and 2 tokens with EOS
    found = cut(np.arange(6), lengths, BatchingConfig(batch_size=9, max_tokens=6))
    assert [batch.tolist() for batch in found] == [[0, 1, 2], [3], [4], [5]]


LONG = st.integers(0, 9) | st.sampled_from([255, 256, 65_535, 65_536, 2**40])


@given(st.lists(st.tuples(LONG, LONG), max_size=60), st.integers(0, 9), st.integers(0, 9))
def test_plans_stay_those_of_every_version(pairs, seed, epoch):
    """Resuming rests on it: the same batches in the same order as the first version's formula."""
    source, target = sides(pairs)
    config = BatchingConfig(batch_size=4)
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(source))
    order = order[np.lexsort((source[order], target[order]))]
    batches = [order[start : start + 4].tolist() for start in range(0, len(order), 4)]
    expected = [batches[i] for i in generator.permutation(len(batches))]
    found = plan_batches(source, target, config, seed, epoch)
    assert [batch.tolist() for batch in found] == expected


@pytest.fixture
def corpus():
    generator = np.random.default_rng(5)
    source = generator.integers(1, 50, 2000)
    return source, np.maximum(1, source + generator.integers(-4, 5, 2000))


@pytest.mark.parametrize("batching", ["bucketed", "random"])
def test_epochs_and_seeds_differ(corpus, batching):
    config = BatchingConfig(batch_size=16, batching=batching)
    plans = [
        [b.tolist() for b in plan_batches(*corpus, config, seed, epoch)]
        for seed, epoch in ((1, 0), (1, 1), (2, 0), (0, 1))
    ]
    for index, plan in enumerate(plans):
        assert plan not in plans[:index]
        # not the same batches in another order either
        assert all(sorted(map(sorted, plan)) != sorted(map(sorted, p)) for p in plans[:index])


def padded(batches, widths):
    return sum(len(batch) * int(widths[batch].max()) for batch in batches)


def test_buckets_pad_less_than_random_batches(corpus):
    totals = {}
    for batching in ("bucketed", "random"):
        batches = plan_batches(*corpus, BatchingConfig(64, batching=batching), 1, 0)
        totals[batching] = sum(padded(batches, side) for side in corpus)
    real = int(sum(side.sum() for side in corpus))
    assert totals["bucketed"] < 1.2 * real
    assert totals["random"] > 1.5 * real


def test_bucketed_batches_do_not_come_short_to_long(corpus):
    batches = plan_batches(*corpus, BatchingConfig(16), 1, 0)
    means = [float(corpus[1][batch].mean()) for batch in batches]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3


@given(LENGTHS, CONFIGS, st.integers(0, 9), st.integers(2, 5))
def test_batches_of_an_update_change_nothing_but_the_order(pairs, config, epoch, together):
    source, target = sides(pairs)
    one = plan_batches(source, target, config, 1, epoch)
    grouped = plan_batches(source, target, config, 1, epoch, together)
    assert sorted(b.tolist() for b in grouped) == sorted(b.tolist() for b in one)
    again = plan_batches(source, target, config, 1, epoch, together)
    assert [b.tolist() for b in grouped] == [b.tolist() for b in again]


def imbalance(batches, tokens, together):
    """How long the slowest of an update's batches takes against their mean, over full updates."""
    groups = [
        [int(tokens[batch].sum()) for batch in batches[start : start + together]]
        for start in range(0, len(batches) - together + 1, together)
    ]
    return np.mean([max(group) / np.mean(group) for group in groups])


def test_the_batches_of_an_update_are_of_like_size(corpus):
    tokens = corpus[0] + corpus[1] + 2
    shuffled = imbalance(plan_batches(*corpus, BatchingConfig(16), 1, 0), tokens, 4)
    grouped = imbalance(plan_batches(*corpus, BatchingConfig(16), 1, 0, 4), tokens, 4)
    assert shuffled > 1.3
    assert grouped - 1 < (shuffled - 1) / 4


def test_the_update_that_is_short_is_last_and_not_always_of_long_sentences(corpus):
    config = BatchingConfig(16)  # 125 batches: 31 updates of 4, and one of 1
    lasts = [plan_batches(*corpus, config, 1, epoch, 4)[-1] for epoch in range(20)]
    means = [float(corpus[1][batch].mean()) for batch in lasts]
    assert min(means) < 20
    assert max(means) > 30
