"""Minimum Bayes risk against a written-out double loop over sacreBLEU's sentence scores."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from fakes import FakeScorer, random_table
from sacrebleu.metrics import BLEU, CHRF

from s2st.data.batch import make_source
from s2st.errors import UsageError
from s2st.search.beam import BeamSearch
from s2st.search.mbr import MbrSearch
from s2st.search.ngram_utilities import BleuUtility, ChrfUtility
from s2st.search.registry import BeamConfig, MbrConfig, SamplingConfig
from s2st.search.sampling import SamplingSearch
from s2st.search.utilities import (
    UTILITIES,
    BleuUtilityConfig,
    ChrfUtilityConfig,
    Utility,
)

METRICS = {"bleu": BLEU(effective_order=True), "chrf": CHRF()}
SOURCES = [[4], [5, 6], [6, 4, 4]]
LIMITS = {"max_len_a": 0.0, "max_len_b": 6}


@pytest.fixture
def scorer():
    tables = {key: random_table(key + 40, 4, end=0.7) for key in (4, 5, 6)}
    return FakeScorer(tables, "le chat . noir")


def text_of(scorer, hypothesis):
    return " ".join(scorer.target.words(hypothesis.tokens))


def double_loop(texts, weights, metric):
    """The expected utility of each distinct text."""
    values = {}
    for text in texts:
        total = 0.0
        for other, weight in zip(texts, weights, strict=True):
            total += weight * metric.sentence_score(text, [other]).score
        values[text] = total
    return values


def check(scorer, groups, candidates, weighting, metric, nbest):
    for group, listed in zip(groups, candidates, strict=True):
        texts = [text_of(scorer, h) for h in listed]
        values = double_loop(texts, weighting(listed), metric)
        best = sorted(values.values(), reverse=True)[:nbest]
        assert [h.score for h in group] == pytest.approx(best)
        for hypothesis in group:
            assert values[text_of(scorer, hypothesis)] == pytest.approx(hypothesis.score)
            assert hypothesis.log_prob in [h.log_prob for h in listed]
        assert len({h.tokens for h in group}) == len(group) == min(nbest, len(values))


@pytest.mark.parametrize("utility", ["bleu", "chrf"])
@pytest.mark.parametrize("nbest", [1, 4])
def test_over_samples_it_is_a_double_loop(scorer, utility, nbest):
    source = make_source(SOURCES, range(3))
    options = {"temperature": 0.8, "top_k": 5, "sampling_seed": 3, **LIMITS}
    config = MbrConfig(utility=utility, candidates=20, nbest=nbest, **options)
    listed = SamplingSearch(SamplingConfig(nbest=20, **options))(scorer, source)

    def uniform(group):
        return [1 / len(group)] * len(group)

    groups = MbrSearch(config)(scorer, source)
    check(scorer, groups, listed, uniform, METRICS[utility], nbest)


@pytest.mark.parametrize("utility", ["bleu", "chrf"])
@pytest.mark.parametrize("nbest", [1, 5])
def test_over_a_list_probabilities_are_weights(scorer, utility, nbest):
    source = make_source(SOURCES, range(3))
    config = MbrConfig(
        utility=utility, candidates=12, candidates_from="beam", nbest=nbest, **LIMITS
    )
    listed = BeamSearch(BeamConfig(beam=12, nbest=12, **LIMITS))(scorer, source)

    def probabilities(group):
        values = [math.exp(h.log_prob) for h in group]
        return [value / sum(values) for value in values]

    groups = MbrSearch(config)(scorer, source)
    check(scorer, groups, listed, probabilities, METRICS[utility], nbest)


TEXTS = [
    "", "a", ".", "the cat sat on the mat .", "the cat sat on the mat.", "The Cat", "cat the",
    "it's 3.5% of £20", "the the the the the", "a b c d", "a b c d e f g", "  spaces   between ",
    "日本語の文", "naïve café", "a-b", "x" * 30,
]  # fmt: skip


@pytest.mark.parametrize(
    "utility", [BleuUtility(BleuUtilityConfig()), ChrfUtility(ChrfUtilityConfig())]
)
def test_all_pairs_at_once_are_sacrebleus_pairs(utility):
    expected = [[utility.value(a, b) for b in TEXTS] for a in TEXTS]
    np.testing.assert_allclose(utility.matrix(TEXTS), expected, atol=1e-9)
    assert utility.matrix([]).shape == (0, 0)


@dataclass(frozen=True)
class LengthConfig:
    """No options."""


class SameLength(Utility):
    """Minus the difference of the lengths in words."""

    def __init__(self, config):
        pass

    def value(self, hypothesis, reference):
        return -abs(len(hypothesis.split()) - len(reference.split()))


def test_a_plugin_can_add_a_utility(scorer, monkeypatch):
    monkeypatch.setattr(UTILITIES, "_entries", dict(UTILITIES._entries))
    UTILITIES.register("same-length", LengthConfig, SameLength, "for this test")
    source = make_source(SOURCES, range(3))
    config = MbrConfig(utility="same-length", candidates=30, **LIMITS)
    listed = SamplingSearch(SamplingConfig(nbest=30, **LIMITS))(scorer, source)
    for (best,), group in zip(MbrSearch(config)(scorer, source), listed, strict=True):
        lengths = [len(h.tokens) for h in group]
        costs = {a: sum(abs(a - b) for b in lengths) for a in lengths}
        assert costs[len(best.tokens)] == min(costs.values())
        assert best.score == pytest.approx(-min(costs.values()) / 30)


def test_an_unknown_utility_is_one_clear_error():
    with pytest.raises(UsageError, match="unknown utility 'blue'; did you mean bleu"):
        MbrSearch(MbrConfig(utility="blue"))


def test_it_does_not_depend_on_the_neighbours(scorer):
    search = MbrSearch(replace(MbrConfig(candidates=9, nbest=3), **LIMITS))
    together = search(scorer, make_source(SOURCES, range(3)))
    for index in (2, 0, 1):
        (alone,) = search(scorer, make_source([SOURCES[index]], [index]))
        assert [h.tokens for h in alone] == [h.tokens for h in together[index]]
