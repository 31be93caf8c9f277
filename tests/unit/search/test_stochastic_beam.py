"""Sampling without replacement: the distribution is that of drawing one after another."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.search.registry import StochasticBeamConfig
from s2st.search.stochastic_beam import StochasticBeamSearch
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

DRAWS = 3000
TABLE = random_table(7, 2, end=2.0, sharpness=2.0)
MOST = 2
LIMITS = {"max_len_a": 0.0, "max_len_b": MOST, "unk": False}


def outputs(temperature=1.0):
    """Probability of every output of at most two words under the tempered, restricted model."""
    found = {}
    for length in range(MOST + 1):
        for words in product((4, 5), repeat=length):
            path, probability = (BOS_ID, *words, EOS_ID), 1.0
            for step in range(length + 1):
                row = TABLE[step, path[step]] ** (1 / temperature)
                row[[PAD_ID, BOS_ID, UNK_ID]] = 0
                if step == MOST:
                    row[[4, 5]] = 0
                probability *= row[path[step + 1]] / row.sum()
            found[words] = probability
    return found


def draw(count, temperature=1.0, lines=DRAWS):
    """The hypotheses of many lines with the same source."""
    config = StochasticBeamConfig(nbest=count, temperature=temperature, **LIMITS)
    source = make_source([[4]] * lines, range(lines))
    return StochasticBeamSearch(config)(FakeScorer({4: TABLE}, "v w"), source)


def assert_frequencies(counts, expected, lines=DRAWS):
    """Each within five standard deviations."""
    for key, probability in expected.items():
        deviation = (probability * (1 - probability) / lines) ** 0.5
        assert counts[key] / lines == pytest.approx(probability, abs=5 * deviation)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_one_sample_is_a_sample_of_the_model(temperature):
    counts = Counter(group[0].tokens for group in draw(1, temperature))
    assert_frequencies(counts, outputs(temperature))


@pytest.mark.parametrize("count", [2, 3])
def test_sets_are_those_of_drawing_without_replacement(count):
    """p(set) = sum over orders of p1 * p2 / (1 - p1) * p3 / (1 - p1 - p2)."""
    probabilities = outputs()
    expected = Counter()
    for order in permutations(probabilities, count):
        chance, rest = 1.0, 1.0
        for words in order:
            chance *= probabilities[words] / rest
            rest -= probabilities[words]
        expected[frozenset(order)] += chance
    counts = Counter(frozenset(h.tokens for h in group) for group in draw(count))
    assert sum(expected.values()) == pytest.approx(1)
    assert_frequencies(counts, expected)


def test_all_outputs_in_the_order_of_their_probability():
    expected = [words for words, _ in sorted(outputs().items(), key=lambda item: -item[1])]
    for group in draw(100, lines=4):
        assert {h.tokens for h in group} == set(expected)
        assert [h.log_prob for h in group] == sorted((h.log_prob for h in group), reverse=True)
        for hypothesis in group:
            path = (BOS_ID, *hypothesis.tokens, EOS_ID)
            own = [np.log(TABLE[i, path[i], path[i + 1]]) for i in range(len(path) - 1)]
            assert hypothesis.token_log_probs == pytest.approx(own)
            assert hypothesis.finished == (len(hypothesis.tokens) < MOST)


def test_the_seed_and_the_line_decide():
    def run(seed, lines):
        config = StochasticBeamConfig(nbest=2, sampling_seed=seed, **LIMITS)
        source = make_source([[4]] * len(lines), lines)
        groups = StochasticBeamSearch(config)(FakeScorer({4: TABLE}, "v w"), source)
        return [[h.tokens for h in group] for group in groups]

    lines = list(range(20))
    assert run(1, lines) == run(1, lines)
    assert run(1, lines) != run(2, lines)
    assert run(1, lines[::-1]) == run(1, lines)[::-1]
    assert run(1, [7]) == [run(1, lines)[7]]
