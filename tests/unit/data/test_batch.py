"""Tests of batches: ids, padding, masks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s2st.data.batch import make_batch, make_source, pad_rows
from s2st.data.batch_loader import TrainingLoader, load_batch
from s2st.data.batch_planner import BatchingConfig
from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.errors import CheckpointError


def test_a_batch_by_hand():
    batch = make_batch([[7, 8, 9], []], [[5], [6, 4]], [3, 1])
    assert batch.source.tokens.tolist() == [[7, 8, 9, 2], [2, 0, 0, 0]]
    assert batch.source.lengths.tolist() == [4, 1]
    assert batch.source.line_ids == (3, 1)
    assert batch.target_in.tolist() == [[1, 5, 0], [1, 6, 4]]
    assert batch.target_out.tolist() == [[5, 2, 0], [6, 4, 2]]
    assert batch.target_lengths.tolist() == [2, 3]
    assert batch.target_mask().tolist() == [[True, True, False], [True, True, True]]
    assert (len(batch), batch.source_tokens, batch.target_tokens) == (2, 5, 5)
    assert batch.source.tokens.dtype == batch.target_in.dtype == torch.int64


def test_no_rows():
    tokens, lengths = pad_rows([])
    assert tokens.shape == (0, 0)
    assert lengths.shape == (0,)
    assert len(make_source([], [])) == 0


@pytest.fixture
def corpus() -> ParallelCorpus:
    """Sentence i has i + 1 source words and 10 - i target words, all of them id 4 + i."""

    def side(lengths):
        ids = np.concatenate([np.full(n, 4 + i, np.int32) for i, n in enumerate(lengths)])
        return Side(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    return ParallelCorpus(side(range(1, 11)), side(range(10, 0, -1)))


def test_batches_of_chosen_sentences(corpus):
    batch = load_batch(corpus, np.array([2, 0]))
    assert batch.source.tokens.tolist() == [[6, 6, 6, 2], [4, 2, 0, 0]]
    assert batch.target_lengths.tolist() == [9, 11]
    assert batch.source.line_ids == (2, 0)


@given(
    st.lists(st.tuples(*2 * [st.lists(st.integers(4, 99), max_size=7)]), min_size=1, max_size=9),
    st.data(),
)
def test_batches_of_a_split_are_those_of_its_lists(pairs, data):
    def side(rows):
        ids = np.array([word for row in rows for word in row], dtype=np.int32)
        return Side(ids, np.cumsum([0, *map(len, rows)], dtype=np.int64), 100)

    split = ParallelCorpus(side([p[0] for p in pairs]), side([p[1] for p in pairs]))
    chosen = data.draw(st.lists(st.integers(0, len(pairs) - 1), max_size=12))
    found = load_batch(split, chosen)
    made = make_batch([pairs[i][0] for i in chosen], [pairs[i][1] for i in chosen], chosen)
    for batch in (found, made):
        assert batch.source.line_ids == tuple(chosen)
        for row, index in enumerate(chosen):
            source, target = pairs[index]
            rest = [0] * (batch.target_out.shape[1] - len(target) - 1)
            tokens = batch.source.tokens[row].tolist()
            assert tokens == [*source, 2] + [0] * (len(tokens) - len(source) - 1)
            assert batch.target_out[row].tolist() == [*target, 2, *rest]
            assert batch.target_in[row].tolist() == [1, *target, *rest]
            assert int(batch.source.lengths[row]) == len(source) + 1
            assert int(batch.target_lengths[row]) == len(target) + 1


@pytest.mark.parametrize(
    ("offsets", "index"), [([0, 2, 1], 1), ([0, 9, 3], 0), ([0, 2, 2**62], 1), ([0, -1, 3], 1)]
)
def test_offsets_that_change_under_a_run(offsets, index):
    side = Side(np.array([4, 5, 6], np.int32), np.array([0, 2, 3], np.int64), 9, "x.ids.npy")
    bad = Side(side.ids, np.array(offsets, np.int64), 9, "x.ids.npy")
    for source, target in ((bad, side), (side, bad)):
        with pytest.raises(CheckpointError, match=r"x\.ids\.npy.*do not fit"):
            load_batch(ParallelCorpus(source, target), [index])


def test_the_loader_gives_the_same_epoch_again(corpus):
    loaders = [TrainingLoader(corpus, BatchingConfig(batch_size=3), seed=4) for _ in range(2)]
    for epoch in (0, 1):
        plans = [loader.plan(epoch) for loader in loaders]
        assert [p.tolist() for p in plans[0]] == [p.tolist() for p in plans[1]]
        lines = [i for indices in plans[0] for i in loaders[0].load(indices).source.line_ids]
        assert sorted(lines) == list(range(10))
