"""PRO: the regression against its gradient by finite differences, sampled pairs, corpus BLEU."""

import numpy as np
import pytest
from nbest_lists import random_lists

from s2st.rescoring.line_search import LineSearch
from s2st.rescoring.metrics import Bleu
from s2st.rescoring.pairwise_ranking import Pro, fit
from s2st.rescoring.registry import LineSearchConfig, ProConfig
from s2st.rescoring.tuning_lists import TuningList, corpus_score

BLEU = Bleu()


@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_the_fit_is_the_minimum_of_the_loss(l2):
    rng = np.random.default_rng(1)
    differences = rng.normal(size=(200, 3)) + np.array([1.0, -0.5, 0.0])

    def loss(weights):
        total = sum(np.log1p(np.exp(-float(weights @ row))) for row in differences)
        return total / len(differences) + l2 / 2 * float(weights @ weights)

    weights = fit(differences, l2)
    for step in 1e-4 * np.vstack([np.eye(3), -np.eye(3)]):
        assert loss(weights) <= loss(weights + step)
    for point in rng.normal(size=(50, 3)):
        assert loss(weights) <= loss(point)


def test_separable_pairs_have_a_finite_solution():
    assert np.isfinite(fit(np.array([[1.0], [2.0]]), 1e-4)).all()


def test_pairs_are_the_largest_differences_above_the_threshold():
    item = random_lists(2, 2, lists=1, size=30)[0]
    config = ProConfig(pro_candidates=400, pro_pairs=20, pro_threshold=5.0)
    sampled = Pro(config).sample(item, np.random.Generator(np.random.PCG64(3)), BLEU)
    assert len(sampled) == 20
    # the same pairs, written out
    quality = BLEU.sentence(item.statistics)
    picks = np.random.Generator(np.random.PCG64(3)).integers(30, size=(400, 2))
    rows = sorted(
        ((-abs(quality[a] - quality[b]), i) for i, (a, b) in enumerate(picks)),
    )[:20]
    expected = []
    for _, i in rows:
        a, b = sorted(picks[i], key=lambda k: -quality[k])
        expected.append(item.features[a] - item.features[b])
    assert np.allclose(sampled, expected)
    nothing = ProConfig(pro_threshold=100.0)
    assert not len(Pro(nothing).sample(item, np.random.Generator(np.random.PCG64(3)), BLEU))


def test_most_of_the_way_to_the_exact_search_and_seeded():
    shares = []
    for seed in range(4):
        lists = random_lists(seed, 3, lists=60)
        start = np.array([0.0, 0.5, 0.5])  # noise only: feature 0 is the one that tells quality
        before = corpus_score(lists, start, BLEU)
        tuner = Pro(ProConfig(pro_candidates=200))
        found = tuner(lists, start, BLEU)
        assert found.score == pytest.approx(corpus_score(lists, found.weights, BLEU))
        assert np.array_equal(found.weights, tuner(lists, start, BLEU).weights)
        exact = LineSearch(LineSearchConfig(restarts=1, directions=3))(lists, start, BLEU)
        shares.append((found.score - before) / (exact.score - before))
    assert np.mean(shares) > 0.5  # PRO knows sentences only, so it is behind the exact search


def test_features_scale_does_not_matter():
    lists = random_lists(1, 2, lists=20)
    stretched = [TuningList(x.features * np.array([1.0, 1000.0]), x.statistics) for x in lists]
    start = np.array([0.5, 0.5])
    first = Pro(ProConfig())(lists, start, BLEU)
    other = Pro(ProConfig())(stretched, start / np.array([1.0, 1000.0]), BLEU)
    assert other.score == pytest.approx(first.score)


def test_lists_without_pairs_keep_the_start():
    lists = [TuningList(np.ones((1, 2)), np.array([[3, 2, 1, 1, 4, 3, 2, 1, 4]]))]
    assert Pro(ProConfig())(lists, np.array([0.5, 0.5]), BLEU).weights.tolist() == [0.5, 0.5]
