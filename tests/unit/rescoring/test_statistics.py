"""BLEU from summed statistics against sacreBLEU and hand-counted rows."""

import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from s2st.rescoring.bleu_statistics import ReferenceCounts, bleu, sentence_bleu

WORDS = ["le", "chat", "dort", "sur", "la", "table", ".", "un", "chien"]


def random_line(rng: random.Random, shortest: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(shortest, 12)))


def test_counts_by_hand():
    # "the the the cat" against "the cat the": unigrams the (2 of 3), cat; bigrams: the cat
    row = ReferenceCounts(["the cat the"]).compare("the the the cat")
    assert row == [3, 1, 0, 0, 4, 3, 2, 1, 3]


def test_closest_length_and_the_shorter_of_equals():
    counts = ReferenceCounts(["a b c d e", "a b c"])
    assert counts.compare("a b c d")[-1] == 3
    assert counts.compare("a b c d e f")[-1] == 5


@pytest.mark.parametrize("references", [1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_corpus_bleu_equals_sacrebleu(seed, references):
    rng = random.Random(seed)
    hypotheses = [random_line(rng, 0) for _ in range(30)]
    sets = [[random_line(rng, 1) for _ in range(30)] for _ in range(references)]
    rows = [
        ReferenceCounts(row).compare(hypothesis)
        for hypothesis, row in zip(hypotheses, zip(*sets, strict=True), strict=True)
    ]
    expected = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(
        hypotheses, sets
    )
    assert bleu(np.array(rows).sum(axis=0)) == pytest.approx(expected.score, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_sentence_bleu_equals_sacrebleu_with_added_counts(seed):
    rng = random.Random(seed)
    hypothesis, reference = random_line(rng, 5), random_line(rng, 5)
    metric = BLEU(
        tokenize="none", smooth_method="add-k", smooth_value=1, force=True, effective_order=False
    )
    row = np.array(ReferenceCounts([reference]).compare(hypothesis))
    expected = metric.sentence_score(hypothesis, [reference]).score
    assert sentence_bleu(row) == pytest.approx(expected, abs=1e-9)


def test_empty_hypothesis_scores_zero():
    row = np.array(ReferenceCounts(["a b"]).compare(""))
    assert bleu(row) == 0
    assert sentence_bleu(row) == 0


def test_words_split_at_ascii_white_space_only():
    row = ReferenceCounts(["a b c"]).compare("a\u00a0b c")
    assert row[4] == 2
