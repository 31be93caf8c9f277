"""Batch MIRA: better than its start, near the exact search, one update by hand."""

import numpy as np
import pytest
from nbest_lists import random_lists

from s2st.rescoring.batch_mira import Mira, pseudo_corpus_gain
from s2st.rescoring.bleu_statistics import bleu
from s2st.rescoring.line_search import LineSearch
from s2st.rescoring.metrics import Bleu
from s2st.rescoring.registry import LineSearchConfig, MiraConfig
from s2st.rescoring.tuning_lists import TuningList, corpus_score

BLEU = Bleu()


def test_never_worse_than_the_start_and_most_of_the_way_to_the_exact_search():
    shares = []
    for seed in range(5):
        lists = random_lists(seed, 3, lists=60)
        start = np.array([0.0, 0.5, 0.5])  # noise only: feature 0 is the one that tells quality
        before = corpus_score(lists, start, BLEU)
        found = Mira(MiraConfig())(lists, start, BLEU)
        assert found.score >= before
        assert corpus_score(lists, found.weights, BLEU) == pytest.approx(found.score)
        exact = LineSearch(LineSearchConfig(restarts=1, directions=3))(lists, start, BLEU)
        shares.append((found.score - before) / (exact.score - before))
    assert np.mean(shares) > 0.7


def test_same_seed_same_weights_and_features_scale_does_not_matter():
    lists = random_lists(1, 2, lists=20)
    stretched = [TuningList(x.features * np.array([1.0, 1000.0]), x.statistics) for x in lists]
    start = np.array([0.5, 0.5])
    first = Mira(MiraConfig())(lists, start, BLEU)
    assert np.array_equal(first.weights, Mira(MiraConfig())(lists, start, BLEU).weights)
    other = Mira(MiraConfig())(stretched, start / np.array([1.0, 1000.0]), BLEU)
    assert other.score == pytest.approx(first.score)


def test_gain_is_bleu_with_the_background_times_length():
    background = np.array([8, 6, 4, 2, 10, 9, 8, 7, 10])
    row = np.array([[3, 2, 1, 0, 4, 3, 2, 1, 5]])
    expected = float(bleu(row[0] + background)) / 100 * 15
    assert pseudo_corpus_gain(row, background.astype(float), BLEU)[0] == pytest.approx(expected)
