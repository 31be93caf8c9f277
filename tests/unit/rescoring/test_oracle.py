"""The oracle against brute force over all choices; intervals against direct resampling."""

import itertools

import numpy as np
import pytest

from s2st.rescoring.bleu_statistics import ReferenceCounts, bleu
from s2st.rescoring.metrics import Bleu
from s2st.rescoring.oracle import (
    Resamples,
    best_by_corpus,
    best_by_sentence,
    gain_interval,
    picked,
    resamples,
    score_interval,
)

BLEU = Bleu()

REFERENCES = ["a b c d e f", "c d e f g", "a c e g b d f", "b c d e"]


def random_statistics(seed: int, size: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = []
    for line in REFERENCES:
        words = line.split()
        rows = []
        for _ in range(size):
            hypothesis = [w if rng.random() < 0.8 else "x" for w in words]
            if rng.random() < 0.3:
                hypothesis = hypothesis[:-1]
            rows.append(ReferenceCounts([line]).compare(" ".join(hypothesis)))
        made.append(np.array(rows))
    return made


def all_scores(statistics: list[np.ndarray]) -> list[float]:
    choices = itertools.product(*(range(len(rows)) for rows in statistics))
    return [float(bleu(picked(statistics, np.array(c)).sum(axis=0))) for c in choices]


@pytest.mark.parametrize("seed", range(15))
def test_corpus_oracle_is_a_local_optimum_and_mostly_the_global_one(seed):
    statistics = random_statistics(seed)
    chosen = best_by_corpus(statistics, BLEU)
    score = bleu(picked(statistics, chosen).sum(axis=0))
    for index, rows in enumerate(statistics):
        for other in range(len(rows)):
            changed = chosen.copy()
            changed[index] = other
            assert bleu(picked(statistics, changed).sum(axis=0)) <= score + 1e-9
    by_sentence = picked(statistics, best_by_sentence(statistics, BLEU)).sum(axis=0)
    assert score >= bleu(by_sentence) - 1e-9
    assert score <= max(all_scores(statistics)) + 1e-9


def test_corpus_oracle_finds_the_global_optimum_in_most_cases():
    hits = 0
    for seed in range(20):
        statistics = random_statistics(seed)
        reached = bleu(picked(statistics, best_by_corpus(statistics, BLEU)).sum(axis=0))
        hits += reached >= max(all_scores(statistics)) - 1e-9
    assert hits >= 16


def test_worst_is_no_better_than_any_single_change():
    statistics = random_statistics(4)
    worst = best_by_corpus(statistics, BLEU, worst=True)
    oracle = best_by_corpus(statistics, BLEU)
    low, high = (bleu(picked(statistics, c).sum(axis=0)) for c in (worst, oracle))
    assert low <= high
    assert low <= np.median(all_scores(statistics))


def test_intervals_match_a_direct_resampling():
    statistics = random_statistics(1)
    rows = picked(statistics, best_by_sentence(statistics, BLEU))
    draws = resamples(len(rows), 200, seed=3)
    assert (draws.sum(axis=1) == len(rows)).all()
    direct = []
    for draw in draws:
        repeated = np.repeat(rows, draw, axis=0)
        direct.append(float(bleu(repeated.sum(axis=0))))
    interval = score_interval(rows, Resamples(len(rows), 200, seed=3), BLEU)
    assert interval.low == pytest.approx(np.percentile(direct, 2.5))
    assert interval.high == pytest.approx(np.percentile(direct, 97.5))
    assert interval.value == pytest.approx(float(bleu(rows.sum(axis=0))))


def test_gain_over_itself_is_exactly_zero():
    statistics = random_statistics(2)
    rows = picked(statistics, best_by_sentence(statistics, BLEU))
    gain = gain_interval(rows, rows, Resamples(len(rows), 100, seed=1), BLEU)
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_samples_that_are_drawn_anew_are_the_same(monkeypatch):
    rows = np.arange(21).reshape(7, 3)
    kept = Resamples(7, 50, seed=5).sums(rows)
    monkeypatch.setattr("s2st.rescoring.oracle.MAX_DRAWN", 7 * 8)
    assert np.array_equal(Resamples(7, 50, seed=5).sums(rows), kept)
