"""Windows and curves by hand, by sacreBLEU and by a plain loop."""

import math
import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from s2st.analysis.bleu_by_bucket import bucket_curves, curve_series, windows
from s2st.errors import DataError, UsageError
from s2st.jobs.text_metrics import tokenized_bleu

WORDS = ["le", "chat", "dort", "sur", "la", "table", ".", "un", "chien"]


def lines(count, seed, shortest=4):
    rng = random.Random(seed)
    return [
        " ".join(rng.choice(WORDS[:4]) for _ in range(rng.randint(shortest, 12)))
        for _ in range(count)
    ]


def test_windows_by_hand():
    assert windows(12, 1) == [(0, 12)]
    assert windows(12, 2) == [(0, 8), (4, 12)]
    assert windows(12, 3) == [(0, 6), (3, 9), (6, 12)]
    # cuts at 0, 3.33, 6.67, 10
    assert windows(10, 2) == [(0, 7), (3, 10)]


@pytest.mark.parametrize(("sentences", "buckets"), [(1, 1), (7, 7), (100, 9), (1000, 20)])
def test_windows_are_near_equal_overlap_and_leave_nobody_out(sentences, buckets):
    found = windows(sentences, buckets)
    assert len(found) == buckets
    assert {i for start, end in found for i in range(start, end)} == set(range(sentences))
    widths = [end - start for start, end in found]
    assert min(widths) >= 1
    assert all(abs(width - 2 * sentences / (buckets + 1)) <= 1 for width in widths)
    for (_, end), (start, _) in zip(found, found[2:], strict=False):
        assert end == start  # two windows on, the next begins


@pytest.mark.parametrize("buckets", [0, 4])
def test_as_many_buckets_as_there_are_sentences_at_most(buckets):
    with pytest.raises(UsageError, match="1 to 3"):
        windows(3, buckets)


def test_a_window_has_the_bleu_of_its_lines():
    references = [lines(30, 1), lines(30, 2)]
    systems = [("x", lines(30, 3)), ("y", lines(30, 4))]
    keys = [random.Random(5).randrange(1, 9) + i % 3 for i in range(30)]
    points = bucket_curves(systems, references, keys, buckets=3, samples=20)
    order = sorted(range(30), key=lambda i: keys[i])  # stable, as promised
    assert [point.system for point in points] == ["x"] * 3 + ["y"] * 3
    expected = ((name, text, cut) for name, text in systems for cut in ((0, 15), (8, 23), (15, 30)))
    for point, (name, text, (start, end)) in zip(points, expected, strict=True):
        chosen = order[start:end]
        picked = [[reference[i] for i in chosen] for reference in references]
        assert point.system == name
        assert point.sentences == len(chosen)
        assert point.key_low == min(keys[i] for i in chosen)
        assert point.key_high == max(keys[i] for i in chosen)
        assert point.key_mean == pytest.approx(sum(keys[i] for i in chosen) / len(chosen))
        whole = tokenized_bleu([text[i] for i in chosen], picked).score
        assert point.bleu == pytest.approx(whole)


@pytest.mark.parametrize("tokenize", ["13a", "none", "char"])
@pytest.mark.parametrize(
    ("hypotheses", "reference"),
    [
        (["the cat, it sat.", "Le chat !"], ["the cat, he sat.", "le chien ?"]),
        (["a b c d e", "f"], ["a x c y e", "f"]),  # precisions of 0 are smoothed
        (["a b", "c"], ["a c", "d"]),  # no 4-grams at all
        (["x y z w v"], ["a b c d e"]),  # nothing matches
        (["a\u00a0b c d e f"], ["a b c d e g"]),  # sacreBLEU splits at this space
    ],
)
def test_sacrebleus_own_figure_with_its_tokenizers(tokenize, hypotheses, reference):
    keys = [1] * len(reference)
    (point,) = bucket_curves(
        [("x", hypotheses)], [reference], keys, buckets=1, samples=1, tokenize=tokenize
    )
    expected = BLEU(tokenize=tokenize, force=True).corpus_score(hypotheses, [reference]).score
    assert point.bleu == pytest.approx(expected, abs=1e-9)


def test_the_interval_is_that_of_a_plain_loop():
    reference, hypotheses = lines(8, 6, shortest=9), lines(8, 7, shortest=9)
    (point,) = bucket_curves(
        [("x", hypotheses)], [reference], range(8), buckets=1, samples=200, seed=9
    )
    generator = np.random.Generator(np.random.PCG64(9))
    scores = []
    for counts in generator.multinomial(8, np.full(8, 1 / 8), size=200):
        drawn = [i for i, count in enumerate(counts) for _ in range(count)]
        picked = [[reference[i] for i in drawn]]
        scores.append(tokenized_bleu([hypotheses[i] for i in drawn], picked).score)
    scores.sort()
    assert len(set(scores)) > 50
    for found, share in ((point.bleu_low, 0.025), (point.bleu_high, 0.975)):
        place = share * 199
        below = math.floor(place)
        expected = scores[below] + (place - below) * (scores[below + 1] - scores[below])
        assert found == pytest.approx(expected)


def test_systems_are_paired_and_seeds_count():
    reference, hypotheses = lines(40, 1), lines(40, 2)
    twice = [("x", hypotheses), ("y", hypotheses)]
    points = bucket_curves(twice, [reference], range(40), buckets=2, samples=50, seed=1)
    for first, second in ((points[0], points[2]), (points[1], points[3])):
        assert (first.bleu_low, first.bleu_high) == (second.bleu_low, second.bleu_high)
        assert first.bleu_low < first.bleu < first.bleu_high
    other = bucket_curves(twice, [reference], range(40), buckets=2, samples=50, seed=7)
    assert other != points


def test_sentences_without_a_key_are_left_out():
    reference = ["a b c d e", "f g h i", "a b c d"]
    (point,) = bucket_curves(
        [("x", ["a b c d e", "wrong", "a b c d"])], [reference], [2, math.nan, 1], buckets=1
    )
    assert (point.sentences, point.bleu) == (2, pytest.approx(100))
    with pytest.raises(UsageError, match="no sentence"):
        bucket_curves([("x", ["a"])], [["a"]], [math.nan], buckets=1)


def test_wrong_use_is_refused():
    with pytest.raises(DataError, match="x has 1 lines"):
        bucket_curves([("x", ["a"])], [["a", "b"]], [1, 2])
    with pytest.raises(DataError, match="reference 2 has 1 lines"):
        bucket_curves([("x", ["a", "b"])], [["a", "b"], ["a"]], [1, 2])
    with pytest.raises(DataError, match="no reference"):
        bucket_curves([("x", ["a"])], [], [1])
    with pytest.raises(UsageError, match="unknown sacreBLEU tokenizer"):
        bucket_curves([("x", ["a"])], [["a"]], [1], buckets=1, tokenize="moses")
    with pytest.raises(UsageError, match="at least 1"):
        bucket_curves([("x", ["a"])], [["a"]], [1], buckets=1, samples=0)


def test_curves_for_drawing():
    reference = lines(20, 1)
    systems = [("x", lines(20, 2)), ("y", lines(20, 3))]
    points = bucket_curves(systems, [reference], range(20), buckets=4, samples=10)
    series = curve_series(points)
    assert [one.name for one in series] == ["x", "y"]
    assert series[1].x == [point.key_mean for point in points[4:]]
    assert series[1].y == [point.bleu for point in points[4:]]
    assert series[1].low == [point.bleu_low for point in points[4:]]
    assert series[1].high == [point.bleu_high for point in points[4:]]
