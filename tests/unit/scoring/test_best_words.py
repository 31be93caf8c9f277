"""The best words of rows by groups, against sorting the whole row."""

import numpy as np
import pytest
import torch

from s2st.scoring import top_k
from s2st.scoring.top_k import best_words


@pytest.mark.parametrize("words", [1, 3, 255, 256, 997, 1000, 1024, 5003])
@pytest.mark.parametrize("count", [1, 2, 5, 12, 300])
def test_they_are_those_of_a_sort(words, count):
    rng = np.random.default_rng(words * 31 + count)
    # a permutation a row: no two words are equal, so that there is one right answer
    table = np.stack([rng.permutation(words) for _ in range(7)]).astype(np.float32) - words
    values, chosen = best_words(torch.from_numpy(table), count)
    expected = np.argsort(-table, axis=1)[:, :count]
    np.testing.assert_array_equal(chosen.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(table, expected, 1))


def test_words_that_may_not_follow_come_last_and_equal_values_are_all_found():
    table = torch.full((2, 400), -torch.inf)
    table[0, [5, 6, 399]] = torch.tensor([-3.0, -1.0, -2.0])
    table[1] = -1.0
    values, chosen = best_words(table, 4)
    assert chosen[0, :3].tolist() == [6, 399, 5]
    assert values[0].tolist() == [-1, -2, -3, -float("inf")]
    assert values[1].tolist() == [-1] * 4
    assert len(set(chosen[1].tolist())) == 4


def test_no_rows(monkeypatch):
    values, chosen = best_words(torch.zeros(0, 1000), 3)
    assert values.shape == chosen.shape == (0, 3)
    assert top_k.SMALL < 1000  # the table was worth grouping
