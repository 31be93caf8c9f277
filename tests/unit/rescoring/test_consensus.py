"""The consensus against its quadratic definition: loops over all pairs of hypotheses."""

import random

import numpy as np
import pytest

from s2st.rescoring.bleu_statistics import ReferenceCounts, sentence_bleu
from s2st.rescoring.consensus import Consensus, posterior
from s2st.rescoring.metrics import Chrf


def hypotheses(seed, count=12):
    rng = random.Random(seed)
    words = ["the", "cat", "sat", "the", "on", "a", "mat", "é"]
    made = [" ".join(rng.choice(words) for _ in range(rng.randrange(0, 9))) for _ in range(count)]
    return [*made, made[0], "the the the the", ""]


def quadratic(kind, texts, scores, scale):
    """Metric of the mean statistics of each hypothesis against all others."""
    deviation = np.std(scores) or 1.0
    weights = np.exp(scale * (scores - np.max(scores)) / deviation)
    found = []
    for i, text in enumerate(texts):
        mean, mass = 0.0, 0.0
        for j, other in enumerate(texts):
            if i == j:
                continue
            if kind == "bleu":
                row = np.array(ReferenceCounts([other]).compare(text), dtype=float)
            else:
                row = Chrf().statistics([text], [other])[0].astype(float)
                row[0::3] = [max(0, len(text.replace(" ", "")) - n) for n in range(6)]
            mean, mass = mean + weights[j] * row, mass + weights[j]
        row = mean / mass
        if kind == "bleu":
            found.append(float(sentence_bleu(row[None])[0]))
        else:
            found.append(float(Chrf().corpus(row)))
    return found


@pytest.mark.parametrize("kind", ["bleu", "chrf"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_quadratic_definition(kind, scale, seed):
    texts = hypotheses(seed)
    scores = np.random.default_rng(seed).normal(size=len(texts))
    found = Consensus(kind, scale).values(texts, scores)
    assert found == pytest.approx(quadratic(kind, texts, scores, scale))


@pytest.mark.parametrize("kind", ["bleu", "chrf"])
def test_a_hypothesis_with_nearly_all_probability_keeps_its_digits(kind):
    texts = hypotheses(1)
    scores = np.zeros(len(texts))
    scores[3] = 9.0
    scores[5] = 0.25
    found = Consensus(kind, 12.0).values(texts, scores)
    assert posterior(scores, 12.0)[3] > 1 - 1e-15
    assert found == pytest.approx(quadratic(kind, texts, scores, 12.0))


def test_scores_shape_and_scale_do_not_matter():
    """Moses totals are defined up to a positive factor and a constant of the list."""
    texts = hypotheses(2)
    scores = np.random.default_rng(0).normal(size=len(texts))
    first = Consensus("bleu", 2.0).values(texts, scores)
    assert Consensus("bleu", 2.0).values(texts, 0.01 * scores - 100) == pytest.approx(first)


def test_lists_without_others_and_scores_that_are_not_finite():
    assert Consensus("bleu", 1.0).values(["a b"], np.zeros(1)).tolist() == [0.0]
    texts = ["a b c d", "a b c d", "x"]
    nothing = Consensus("chrf", 1.0).values(texts, np.array([np.nan, np.inf, np.nan]))
    equal = Consensus("chrf", 1.0).values(texts, np.zeros(3))
    assert nothing == pytest.approx(equal)
    left_out = Consensus("bleu", 1.0).values(texts, np.array([0.0, 0.0, -np.inf]))
    assert left_out[:2] == pytest.approx([100.0, 100.0])


def test_time_grows_with_the_list_not_with_its_square(monkeypatch):
    """The number of n-gram occurrences that are counted is linear in the list's length."""
    counted = []
    from s2st.rescoring import ngram_occurrences

    real = ngram_occurrences._numbered

    def numbered(rows, codes, texts):
        counted.append(len(rows))
        return real(rows, codes, texts)

    monkeypatch.setattr(ngram_occurrences, "_numbered", numbered)
    for size in (10, 1000):
        counted.clear()
        texts = ["a b c d e f"] * size
        Consensus("bleu", 1.0).values(texts, np.zeros(size))
        assert sum(counted) == size * (6 + 5 + 4 + 3)
