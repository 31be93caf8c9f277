"""The exact line search against brute force over fine grids and all pairs of crossings."""

import itertools

import numpy as np
import pytest
from nbest_lists import random_lists

from s2st.rescoring.bleu_statistics import bleu
from s2st.rescoring.line_search import (
    LineSearch,
    PaddedLists,
    TuningList,
    choose,
    corpus_bleu,
    spreads,
    upper_envelopes,
)
from s2st.rescoring.registry import LineSearchConfig


@pytest.mark.parametrize("seed", range(30))
def test_envelope_is_the_highest_line_everywhere(seed):
    rng = np.random.default_rng(seed)
    slopes, intercepts = rng.integers(-5, 6, size=(2, 15)).astype(float)
    padding = np.full(3, -np.inf)  # of a shorter list
    found = upper_envelopes(
        np.concatenate([slopes, padding])[None], np.concatenate([intercepts, np.zeros(3)])[None]
    )
    starts = found.gammas.tolist()
    chosen = [int(found.first[0]), *found.after.tolist()]
    assert starts == sorted(starts)
    assert found.before.tolist() == chosen[:-1]
    for gamma in rng.uniform(-20, 20, size=200):
        index = chosen[int(np.searchsorted(starts, gamma))]
        assert intercepts[index] + gamma * slopes[index] == pytest.approx(
            (intercepts + gamma * slopes).max()
        )


@pytest.mark.parametrize("seed", range(10))
def test_line_search_is_no_worse_than_any_point_of_the_line(seed):
    lists = random_lists(seed, 2)
    weights, direction = np.array([1.0, 0.3]), np.array([-0.4, 1.0])
    gamma, score = PaddedLists(lists).best_on_line(weights, direction)
    assert corpus_bleu(lists, weights + gamma * direction) == pytest.approx(score)
    # brute force: between all neighbouring crossings of any two lines of any list
    crossings = []
    for item in lists:
        slopes, intercepts = item.features @ direction, item.features @ weights
        for i, j in itertools.combinations(range(len(slopes)), 2):
            if slopes[i] != slopes[j]:
                crossings.append((intercepts[j] - intercepts[i]) / (slopes[i] - slopes[j]))
    edges = np.sort(crossings)
    points = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    best = max(corpus_bleu(lists, weights + point * direction) for point in points)
    assert score == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_two_features_reach_the_best_of_a_fine_grid(seed):
    lists = random_lists(seed, 2)
    angles = np.linspace(0, 2 * np.pi, 4001)
    grid = max(corpus_bleu(lists, np.array([np.cos(a), np.sin(a)])) for a in angles)
    found = LineSearch(LineSearchConfig())(lists, np.array([0.5, 0.5]))
    assert found.bleu >= grid - 1e-9
    assert corpus_bleu(lists, found.weights) == pytest.approx(found.bleu)
    assert np.abs(found.weights).sum() == pytest.approx(1.0)


def test_never_worse_than_the_start_and_seeded():
    lists = random_lists(3, 4)
    start = np.array([0.1, 0.5, 0.2, 0.2])
    tuner = LineSearch(LineSearchConfig(restarts=2, directions=3, tuning_seed=7))
    first, second = tuner(lists, start), tuner(lists, start)
    assert first.bleu >= corpus_bleu(lists, start)
    assert np.array_equal(first.weights, second.weights)


def test_one_hypothesis_lists_leave_nothing_to_choose():
    lists = [TuningList(np.ones((1, 2)), np.array([[3, 2, 1, 1, 4, 3, 2, 1, 4]]))]
    gamma, score = PaddedLists(lists).best_on_line(np.ones(2), np.array([1.0, 0.0]))
    assert gamma == 0
    assert score == pytest.approx(float(bleu(lists[0].statistics[0])))


def test_ties_go_to_the_first_hypothesis():
    features = np.array([[1.0], [1.0], [0.0]])
    assert choose([TuningList(features, np.zeros((3, 9), dtype=int))], np.ones(1)).tolist() == [0]


def test_spread_is_within_lists():
    statistics = np.zeros((2, 9), dtype=int)
    lists = [
        TuningList(np.array([[100.0, 5.0], [102.0, 5.0]]), statistics),
        TuningList(np.array([[0.0, 9.0], [2.0, 9.0]]), statistics),
    ]
    assert spreads(lists).tolist() == [1.0, 1.0]  # constant features count as spread 1
