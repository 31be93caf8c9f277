"""Comparison of two systems sentence by sentence, with results computed by hand."""

import pytest
from sacrebleu.metrics.bleu import BLEU

from s2st.analysis.sentence_changes import differing_words, sentence_changes
from s2st.errors import DataError

REFERENCE = ["a b c d e f", "g h i j", "k l m n", "o p q r"]
A = ["a b c x y z", "g h i j", "k l m n", "x y"]
B = ["a b c d e f", "g h x y", "k l m n", "y x"]


def test_better_worse_and_the_same():
    changes = sentence_changes(A, B, [REFERENCE], ["s1", "s2", "s3", "s4"])
    assert [change.line for change in changes.better] == [1]
    assert [change.line for change in changes.worse] == [2]
    assert (changes.same_bleu, changes.same_text) == (2, 1)
    (first,) = changes.better
    assert (first.source, first.references) == ("s1", ("a b c d e f",))
    assert (first.a, first.b) == ("a b c x y z", "a b c d e f")
    assert first.b_bleu == pytest.approx(100)
    # unigrams 3 of 6; with 1 added bigrams 3 of 6, trigrams 2 of 5, 4-grams 1 of 4
    assert first.a_bleu == pytest.approx(100 * (3 / 6 * 3 / 6 * 2 / 5 * 1 / 4) ** 0.25)
    assert first.gain == pytest.approx(first.b_bleu - first.a_bleu)


def test_the_most_changed_come_first_and_equals_by_line():
    reference = ["a b c d e f"] * 6
    a = ["x", "x", "a b c d e f", "x", "a b c d e f", "a b c d e f"]
    b = ["a b", "a b c d e f", "a b c", "a b", "x", "a b c"]
    changes = sentence_changes(a, b, [reference])
    assert [change.line for change in changes.better] == [2, 1, 4]
    assert [change.line for change in changes.worse] == [5, 3, 6]
    assert changes.better[0].source is None


def test_the_tokenizer_counts():
    whole = "the cat, it sat."
    (change,) = sentence_changes(["the cat"], [whole], [["the cat , it sat ."]], None, "13a").better
    assert change.b_bleu == pytest.approx(100)
    (change,) = sentence_changes(["x"], [whole], [["the cat , it sat ."]]).better
    metric = BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, force=True)
    assert change.b_bleu == pytest.approx(
        metric.sentence_score(whole, ["the cat , it sat ."]).score
    )


def test_counts_must_be_equal():
    with pytest.raises(DataError, match="equal numbers"):
        sentence_changes(["a"], ["a"], [["a"]], [])
    with pytest.raises(DataError, match="equal numbers"):
        sentence_changes(["a"], ["a"], [["a"], ["a", "b"]])
    with pytest.raises(DataError, match="no reference"):
        sentence_changes(["a"], ["a"], [])


def test_differing_words():
    a, b = ["the", "old", "cat", "sat"], ["the", "cat", "sat", "down", "there"]
    assert differing_words(a, b) == (
        [False, True, False, False],
        [False, False, False, True, True],
    )
    assert differing_words([], ["x"]) == ([], [True])
