"""Prefix-shared scoring of lists equals plain scoring, and steps each prefix once."""

import numpy as np
import pytest
from builders import mixed_members, reads_source, source_batch, sources_for
from builders import scorer as scorer_of

from s2st.data.batch import make_batch
from s2st.models import prefix_tree
from s2st.models.registry import ARCHITECTURES
from s2st.scoring import prefix_sharing
from s2st.scoring.base import Scorer
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.prefix_sharing import score_lists


def random_lists(scorer, sources, seed, longest=6):
    """Lists with duplicates, shared prefixes, empty hypotheses, and one list that is empty."""
    rng = np.random.default_rng(seed)
    size = len(scorer.target.vocabulary)
    lists = []
    for _ in range(sources):
        stems = [rng.integers(3, size, rng.integers(0, longest)).tolist() for _ in range(3)]
        group = [stem + rng.integers(3, size, rng.integers(0, 3)).tolist() for stem in stems * 4]
        group += [[], group[0], group[0], stems[1], []]
        rng.shuffle(group)
        lists.append(group)
    lists[1] = []
    return lists


def distinct_prefixes(lists):
    """(source, prefix) pairs after which some word or EOS is asked for, counted with a set."""
    return len(
        {
            (index, tuple(hypothesis[:length]))
            for index, group in enumerate(lists)
            for hypothesis in group
            for length in range(len(hypothesis) + 1)
        }
    )


def assert_equal_to_plain(scorer, sources, lists, max_rows):
    """Returned values are float32 by contract, so that 1e-5 is what can be asked of them."""
    scores = score_lists(scorer, source_batch(sources), lists, max_rows)
    assert scores.positions == sum(len(h) + 1 for group in lists for h in group)
    assert [len(group) for group in scores.token_log_probs] == [len(group) for group in lists]
    flat = [(i, h) for i, group in enumerate(lists) for h in group]
    batch = make_batch([sources[i] for i, _ in flat], [h for _, h in flat], range(len(flat)))
    plain = Scorer.score(scorer, batch).numpy()
    found = [values for group in scores.token_log_probs for values in group]
    for row, (_, hypothesis) in enumerate(flat):
        assert found[row].dtype == np.float32
        np.testing.assert_allclose(
            found[row], plain[row, : len(hypothesis) + 1], rtol=1e-6, atol=1e-5
        )
    return scores


@pytest.mark.parametrize("cells", [1, 20, 60])
def test_a_table_of_bounded_size_changes_nothing(monkeypatch, scorer, cells):
    """Parts are made by length, so that one long hypothesis does not widen the table of all."""
    tables = []
    real = prefix_sharing._table

    def watched(flat):
        made = real(flat)
        tables.append(made[0].size if len(flat) > 1 else 0)
        return made

    monkeypatch.setattr(prefix_sharing, "_table", watched)
    monkeypatch.setattr(prefix_sharing, "MAX_CELLS", cells)
    sources = sources_for(scorer, 3)
    assert_equal_to_plain(scorer, sources, random_lists(scorer, 3, seed=cells), 100)
    assert len(tables) > 1
    assert max(tables) <= cells


@pytest.mark.parametrize("max_rows", [10_000, 7, 1])
def test_lists_score_as_plain_pairs(scorer, max_rows):
    sources = sources_for(scorer, 4)
    lists = random_lists(scorer, 4, seed=max_rows)
    scores = assert_equal_to_plain(scorer, sources, lists, max_rows)
    if max_rows == 10_000:
        assert scores.rows_stepped == distinct_prefixes(lists)
    else:  # a prefix shared across two parts is computed in each
        assert distinct_prefixes(lists) <= scores.rows_stepped <= scores.positions
    assert scores.rows_stepped > 0


@pytest.mark.parametrize("seed", range(20))
def test_many_random_lists(seed):
    ensemble = EnsembleScorer(mixed_members())
    lists = random_lists(ensemble, 5, seed, longest=1 + seed % 9)
    sources = sources_for(ensemble, 5, seed)
    scores = assert_equal_to_plain(ensemble, sources, lists, 10_000)
    assert scores.rows_stepped == distinct_prefixes(lists)


def test_only_the_stated_prefixes_reach_the_scorer_and_each_source_is_encoded_once():
    class Counting(Scorer):
        def __init__(self, inner):
            self.inner, self.started, self.rows = inner, [], []
            self.source, self.target, self.device = inner.source, inner.target, inner.device

        def start(self, source):
            self.started.append(len(source))
            return self.inner.start(source)

        def step(self, tokens, state):
            self.rows.append(len(tokens))
            return self.inner.step(tokens, state)

    counting = Counting(mixed_members()[0])
    lists = random_lists(counting, 4, 0)
    scores = score_lists(counting, source_batch(sources_for(counting, 4)), lists, 10_000)
    assert counting.started == [4]
    assert sum(counting.rows) == scores.rows_stepped == distinct_prefixes(lists)
    counting.started, counting.rows = [], []
    score_lists(counting, source_batch(sources_for(counting, 4)), lists, 5)
    assert counting.started == [4]
    assert max(counting.rows) <= 5


def test_no_hypotheses_at_all():
    member = mixed_members()[0]
    scores = score_lists(member, source_batch(sources_for(member, 2)), [[], []], 8)
    assert scores.token_log_probs == [[], []]
    assert (scores.rows_stepped, scores.positions) == (0, 0)


def test_equal_hypotheses_of_different_sources_are_not_mixed_up(scorer):
    sources = [[4, 5, 6], [6, 6]]
    lists = [[[4, 5], [4]], [[4, 5], [4]]]
    scores = assert_equal_to_plain(scorer, sources, lists, 100)
    first, second = (group[0] for group in scores.token_log_probs)
    if not reads_source(scorer):
        np.testing.assert_allclose(first, second, rtol=1e-6)
        return
    assert np.abs(first - second).max() > 1e-4


def transformers_and(*others):
    """Two Transformers, of which one has its own order of target words, and other members."""
    config = ARCHITECTURES.get("transformer").config_type(
        layers=2, hidden_size=8, heads=2, dropout=0.0
    )
    return [
        scorer_of("transformer", config, 4),
        scorer_of("transformer", config, 5, target_words="y v x w"),
        *others,
    ]


@pytest.mark.parametrize("mode", ["probability", "log-probability"])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_ensembles_with_transformers(mode, recurrent, seed):
    """Members that compute trees are not stepped, unless a mean of all words needs it."""
    members = transformers_and(*(mixed_members()[:1] if recurrent else []))
    ensemble = EnsembleScorer(members, [3.0, 0.5, 1.0][: len(members)], mode)
    lists = random_lists(ensemble, 5, seed, longest=1 + 3 * seed)
    stepped = []
    for member in members[:2]:
        member.step_words = member.advance = lambda *_: stepped.append(1)
    sources = sources_for(ensemble, 5, seed)
    if mode == "log-probability" and recurrent:
        with pytest.raises(AttributeError):  # of the None that the members above return
            score_lists(ensemble, source_batch(sources), lists, 10_000)
        assert stepped
    else:
        score_lists(ensemble, source_batch(sources), lists, 10_000)
        assert not stepped
    for member in members[:2]:
        del member.step_words, member.advance
    for max_rows in (10_000, 7):
        assert_equal_to_plain(ensemble, sources, lists, max_rows)


@pytest.mark.parametrize("kept", [0, 1 << 24])
@pytest.mark.parametrize("blocks", [1, 3, 1000])
def test_trees_in_blocks(monkeypatch, blocks, kept):
    """Lists of a hundred words and many branches: blocks begin deep in the tree, and end in it."""
    member = transformers_and()[0]
    monkeypatch.setattr(prefix_tree, "KEPT_CELLS", kept)
    monkeypatch.setattr(prefix_tree, "CPU_CELLS", blocks * 2 * 8 * (100 + prefix_tree.BLOCK))
    rng = np.random.default_rng(blocks)
    size = len(member.target.vocabulary)
    stem = rng.integers(3, size, 100).tolist()
    lists = [
        [stem[: rng.integers(0, 100)] + rng.integers(3, size, 4).tolist() for _ in range(20)],
        [stem, stem[:31], stem[:32], stem[:33]],
        [[]],
    ]
    scores = assert_equal_to_plain(member, sources_for(member, 3), lists, 10_000)
    assert scores.rows_stepped == distinct_prefixes(lists)
