"""Nearest words by cosine similarity, against torch and by hand."""

import numpy as np
import pytest
import torch

from s2st.analysis.nearest_words import nearest
from s2st.errors import UsageError
from s2st.text.word_vectors import WordVectors

RANDOM = WordVectors(
    tuple(f"w{i}" for i in range(40)),
    np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32),
)


@pytest.mark.parametrize("count", [1, 7, 100])
def test_they_are_those_of_torchs_similarities(count):
    found = nearest(RANDOM, ["w3", "w0"], count, "test")
    assert list(found) == ["w3", "w0"]
    for word, neighbors in found.items():
        table = torch.tensor(RANDOM.table)
        cosines = torch.cosine_similarity(table[int(word[1:])], table, dim=1).tolist()
        of_others = {w: c for w, c in zip(RANDOM.words, cosines, strict=True) if w != word}
        expected = sorted(of_others, key=of_others.get, reverse=True)[:count]
        assert [item.word for item in neighbors] == expected
        for item in neighbors:
            assert item.similarity == pytest.approx(of_others[item.word], abs=1e-6)


def test_length_does_not_count_ties_keep_the_order_and_zeros_are_at_right_angles():
    rows = {"up": [0, 2], "far": [0, 1000], "right": [1, 0], "zero": [0, 0], "down": [0, -1]}
    vectors = WordVectors(tuple(rows), np.array(list(rows.values()), dtype=np.float32))
    found = nearest(vectors, ["up", "zero"], 9, "test")
    pairs = [(item.word, item.similarity) for item in found["up"]]
    assert pairs == [("far", 1), ("right", 0), ("zero", 0), ("down", -1)]
    assert [(i.word, i.similarity) for i in found["zero"]] == [
        ("up", 0), ("far", 0), ("right", 0), ("down", 0),
    ]  # fmt: skip


def test_a_word_without_a_vector_is_told_with_near_spellings():
    vectors = WordVectors(("house", "horse", "houses", "tree"), np.eye(4, dtype=np.float32))
    with pytest.raises(UsageError) as caught:
        nearest(vectors, ["tree", "hause"], 1, "the source side of M")
    message = str(caught.value)
    assert message.startswith("'hause': the source side of M has no such word; did you mean house")
    assert "tree" not in message
    with pytest.raises(UsageError, match=r"no such word$"):
        nearest(vectors, ["xylophone"], 1, "M")
