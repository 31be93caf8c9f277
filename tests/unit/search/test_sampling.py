"""Sampling: the distribution of the draws, the cuts by hand, seeds, independence of the batch."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.search.registry import SamplingConfig
from s2st.search.sampling import SamplingSearch, draw_words

# word ids 0..4 in no order of probability
PROBABILITIES = torch.tensor([[0.1, 0.4, 0.05, 0.25, 0.2]], dtype=torch.float64)


def support(**options):
    """Which words come out for uniform draws all over [0, 1), and how often."""
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    log_probs = PROBABILITIES.log().expand(100_000, 5)
    words = draw_words(log_probs, uniform, SamplingConfig(**options))
    counts = torch.bincount(words, minlength=5) / 100_000
    return {word: share for word, share in enumerate(counts.tolist()) if share}


def near(expected):
    return pytest.approx(expected, abs=2e-5)


def test_words_come_out_by_their_probability():
    assert support() == near({0: 0.1, 1: 0.4, 2: 0.05, 3: 0.25, 4: 0.2})


def test_top_k_keeps_the_k_best_in_proportion():
    assert support(top_k=1) == {1: 1.0}
    assert support(top_k=2) == near({1: 0.4 / 0.65, 3: 0.25 / 0.65})
    assert support(top_k=3) == near({1: 0.4 / 0.85, 3: 0.25 / 0.85, 4: 0.2 / 0.85})
    assert support(top_k=99) == support()


def test_nucleus_is_the_smallest_set_that_reaches_p():
    assert support(top_p=0.0) == {1: 1.0}
    assert support(top_p=0.39) == {1: 1.0}
    assert set(support(top_p=0.41)) == {1, 3}
    assert set(support(top_p=0.64)) == {1, 3}
    assert set(support(top_p=0.66)) == {1, 3, 4}
    assert support(top_p=0.8) == near({1: 0.4 / 0.85, 3: 0.25 / 0.85, 4: 0.2 / 0.85})
    assert set(support(top_p=0.951)) == {0, 1, 2, 3, 4}
    assert support(top_p=1.0) == support()


def test_top_k_and_nucleus_both_cut():
    assert set(support(top_k=4, top_p=0.41)) == {1, 3}
    assert set(support(top_k=1, top_p=0.9)) == {1}


def test_temperature_is_a_power_of_the_probabilities():
    powers = PROBABILITIES[0] ** (1 / 0.5)
    expected = (powers / powers.sum()).tolist()
    assert support(temperature=0.5) == near(dict(enumerate(expected)))
    powers = PROBABILITIES[0] ** (1 / 3)
    expected = (powers / powers.sum()).tolist()
    assert support(temperature=3.0) == near(dict(enumerate(expected)))
    assert support(temperature=1e-4) == {1: 1.0}


@pytest.mark.parametrize("uniform", [0.0, 0.5, math.nextafter(1.0, 0.0)])
def test_a_forbidden_word_is_never_drawn(uniform):
    log_probs = torch.tensor([[-torch.inf, -1.0, -torch.inf, -3.0]]).double()
    for options in ({}, {"top_k": 3}, {"top_p": 1.0}, {"temperature": 100.0}):
        word = draw_words(log_probs, torch.tensor([uniform]).double(), SamplingConfig(**options))
        assert word.item() in (1, 3)
    only = torch.tensor([[-torch.inf, -50.0, -torch.inf]]).double()
    assert draw_words(only, torch.tensor([uniform]).double(), SamplingConfig()).item() == 1


def sample(sources, ids, tables=None, **options):
    tables = tables or {key: random_table(key, 4, end=0.7) for key in (4, 5, 6)}
    config = SamplingConfig(**options)
    return SamplingSearch(config)(FakeScorer(tables, "v w x y"), make_source(sources, ids))


def test_first_words_are_distributed_as_the_table():
    """Chi-square of 4000 draws with 5 degrees of freedom stays under 20.5 (p = 0.001)."""
    table = random_table(3, 4)
    (group,) = sample([[4]], [0], {4: table}, nbest=4000, max_len_a=0.0, max_len_b=1)
    counts = np.zeros(8)
    for hypothesis in group:
        counts[hypothesis.tokens[0] if hypothesis.tokens else 2] += 1
    expected = 4000 * table[0, 1]
    allowed = expected > 0
    assert not counts[~allowed].any()
    chi_square = ((counts - expected)[allowed] ** 2 / expected[allowed]).sum()
    assert allowed.sum() == 6
    assert chi_square < 20.5


def test_token_log_probs_are_the_models_own_whatever_the_cuts():
    table = random_table(4, 4)
    (group,) = sample([[4, 5]], [3], {4: table}, nbest=30, top_k=3, temperature=2.0)
    for hypothesis in group:
        path = [1, *hypothesis.tokens, 2]
        expected = [math.log(table[min(i, 11), a, b]) for i, (a, b) in enumerate(pairwise(path))]
        assert hypothesis.token_log_probs == pytest.approx(expected)
        assert hypothesis.score == pytest.approx(sum(expected))
    assert [h.score for h in group] == sorted((h.score for h in group), reverse=True)


def test_a_seed_repeats_and_another_differs():
    sources, ids = [[4, 4], [5, 6, 4], [6]], [0, 1, 2]
    first = sample(sources, ids, nbest=5)
    assert sample(sources, ids, nbest=5) == first
    assert sample(sources, ids, nbest=5, sampling_seed=2) != first


def test_draws_belong_to_the_line_not_to_the_batch():
    sources, ids = [[4, 4], [5, 6, 4], [6], [4, 4]], [10, 11, 12, 13]
    together = sample(sources, ids, nbest=4)
    for index in range(4):
        assert sample([sources[index]], [ids[index]], nbest=4) == [together[index]]
    backwards = sample(sources[::-1], ids[::-1], nbest=4)
    assert backwards == together[::-1]
    # equal sources on different lines are drawn apart
    assert [h.tokens for h in together[0]] != [h.tokens for h in together[3]]


def test_fewer_draws_are_the_first_of_more():
    few = {h.tokens for h in sample([[4, 5]], [7], nbest=2)[0]}
    many = {h.tokens for h in sample([[4, 5]], [7], nbest=6)[0]}
    assert few <= many
