"""The exact line search against brute force over fine grids and all pairs of crossings."""

import itertools

import numpy as np
import pytest
from nbest_lists import random_lists

from s2st.rescoring.bleu_statistics import bleu
from s2st.rescoring.line_search import Distance, LineSearch, ListBlocks, upper_envelopes
from s2st.rescoring.metrics import Bleu, Chrf, Ter
from s2st.rescoring.registry import LineSearchConfig
from s2st.rescoring.tuning_lists import TuningList, choose, corpus_score, spreads

BLEU = Bleu()


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
    gamma, score = ListBlocks(lists, BLEU).best_on_line(weights, direction)
    assert corpus_score(lists, weights + gamma * direction, BLEU) == pytest.approx(score)
    # brute force: between all neighbouring crossings of any two lines of any list
    crossings = []
    for item in lists:
        slopes, intercepts = item.features @ direction, item.features @ weights
        for i, j in itertools.combinations(range(len(slopes)), 2):
            if slopes[i] != slopes[j]:
                crossings.append((intercepts[j] - intercepts[i]) / (slopes[i] - slopes[j]))
    edges = np.sort(crossings)
    points = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    best = max(corpus_score(lists, weights + point * direction, BLEU) for point in points)
    assert score == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_two_features_reach_the_best_of_a_fine_grid(seed):
    lists = random_lists(seed, 2)
    angles = np.linspace(0, 2 * np.pi, 4001)
    grid = max(corpus_score(lists, np.array([np.cos(a), np.sin(a)]), BLEU) for a in angles)
    found = LineSearch(LineSearchConfig())(lists, np.array([0.5, 0.5]), BLEU)
    assert found.score >= grid - 1e-9
    assert corpus_score(lists, found.weights, BLEU) == pytest.approx(found.score)
    assert np.abs(found.weights).sum() == pytest.approx(1.0)


def test_never_worse_than_the_start_and_seeded():
    lists = random_lists(3, 4)
    start = np.array([0.1, 0.5, 0.2, 0.2])
    tuner = LineSearch(LineSearchConfig(restarts=2, directions=3, tuning_seed=7))
    first, second = tuner(lists, start, BLEU), tuner(lists, start, BLEU)
    assert first.score >= corpus_score(lists, start, BLEU)
    assert np.array_equal(first.weights, second.weights)


def test_one_hypothesis_lists_leave_nothing_to_choose():
    lists = [TuningList(np.ones((1, 2)), np.array([[3, 2, 1, 1, 4, 3, 2, 1, 4]]))]
    gamma, score = ListBlocks(lists, BLEU).best_on_line(np.ones(2), np.array([1.0, 0.0]))
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


@pytest.mark.parametrize("seed", range(5))
def test_blocks_of_any_size_give_the_same_line_search(seed):
    lists = random_lists(seed, 2, lists=9) + random_lists(seed, 2, lists=4, size=30)
    weights, direction = np.array([1.0, 0.3]), np.array([-0.4, 1.0])
    whole = ListBlocks(lists, BLEU)
    for cells in (1, 40, 70):  # single lists; a few, more blocks than are kept
        blocks = ListBlocks(lists, BLEU, cells)
        assert blocks.best_on_line(weights, direction) == whole.best_on_line(weights, direction)
        assert blocks.score(weights) == whole.score(weights)


def random_statistics(metric, seed, lists=8, size=10):
    """Lists of made-up sentences, whose first feature tells quality."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(lists):
        reference = [str(w) for w in rng.integers(12, size=9)]
        texts = []
        for _ in range(size):
            words = [w if rng.random() < 0.7 else "x" for w in reference]
            texts.append(" ".join(words[: rng.integers(5, 10)]))
        statistics = metric.statistics(texts, [" ".join(reference)])
        values = rng.normal(size=(size, 2))
        values[:, 0] += metric.sentence(statistics) / 40
        made.append(TuningList(values, statistics))
    return made


@pytest.mark.parametrize("metric", [Bleu(), Chrf(), Ter()], ids=lambda m: m.name)
@pytest.mark.parametrize("seed", range(3))
def test_every_metric_reaches_the_best_of_a_fine_grid(metric, seed):
    lists = random_statistics(metric, seed)
    angles = np.linspace(0, 2 * np.pi, 1001)
    points = [np.array([np.cos(a), np.sin(a)]) for a in angles]
    grid = max(corpus_score(lists, point, metric) for point in points)
    found = LineSearch(LineSearchConfig())(lists, np.array([0.5, 0.5]), metric)
    assert found.score >= grid - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_regularized_search_reaches_the_best_penalized_score_of_a_fine_grid(seed):
    lists = random_lists(seed, 2)
    start, strength = np.array([0.2, 0.8]), 4.0
    scale = spreads(lists)

    def objective(point):
        unit, wanted = point * scale, start * scale
        difference = unit / np.linalg.norm(unit) - wanted / np.linalg.norm(wanted)
        return corpus_score(lists, point, BLEU) - strength * float(difference @ difference)

    config = LineSearchConfig(regularize=strength, restarts=5)
    found = LineSearch(config)(lists, start, BLEU)
    angles = np.linspace(0, 2 * np.pi, 2001)
    grid = max(objective(np.array([np.cos(a), np.sin(a)])) for a in angles)
    # the search takes the middle of an interval, the grid the best place in it
    assert objective(found.weights) >= grid - 1.0
    far = LineSearch(LineSearchConfig(regularize=1000.0))(lists, start, BLEU)
    free = LineSearch(LineSearchConfig())(lists, start, BLEU)
    distance = Distance(start, scale, 1.0)
    near, away = distance.penalties(np.array([far.weights, free.weights]))
    assert near <= away
    assert far.score <= free.score + 1e-9


def test_a_regularized_search_ends_after_few_steps(monkeypatch):
    """The penalty is smooth: some direction gains a millionth of a point nearly without end."""
    lists = random_lists(5, 15, lists=60)
    searched = 0
    search = ListBlocks.best_on_line

    def counted(*given):
        nonlocal searched
        searched += 1
        return search(*given)

    monkeypatch.setattr(ListBlocks, "best_on_line", counted)
    config = LineSearchConfig(regularize=1.0, directions=4, restarts=1)
    LineSearch(config)(lists, np.full(15, 0.1), BLEU)
    assert searched <= 2 * 60 * (15 + 4)  # 60 steps from each of two points


def test_restarts_are_seeded():
    """Same seed, same result; some other seed searches elsewhere."""
    lists = random_lists(11, 5, lists=20)
    start = np.full(5, 0.2)

    def found(seed):
        return LineSearch(LineSearchConfig(tuning_seed=seed))(lists, start, BLEU).weights.tolist()

    assert found(1) == found(1)
    assert any(found(seed) != found(1) for seed in range(2, 5))
