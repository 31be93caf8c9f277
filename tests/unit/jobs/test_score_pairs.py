"""Scoring pairs: those that share sources go as lists, with the same result as alone."""

import pytest
from builders import TINY, mixed_members
from builders import scorer as tiny_scorer

from s2st.errors import DataError
from s2st.jobs import pair_scoring_tasks as score
from s2st.jobs.pair_scoring_tasks import score_pairs
from s2st.models.configs import AlignedConfig
from s2st.scoring.ensemble_scorer import EnsembleScorer


@pytest.mark.parametrize("max_rows", [2, 100])
def test_pairs_with_common_sources_score_as_alone_and_in_order(monkeypatch, max_rows):
    monkeypatch.setattr(score, "MAX_ROWS", max_rows)
    scorer = mixed_members()[0]
    sources = ["a b", "c", "a b", "c", "a b", "", "c", "", "a b"]
    targets = ["v", "w v", "v w x", "w v", "v w", "", "zzz v", "x", ""]
    pairs = list(zip(sources, targets, strict=True))
    together = list(score_pairs(scorer, pairs))
    alone = [next(score_pairs(scorer, [pair])) for pair in pairs]
    assert [item.line for item in together] == list(range(len(pairs)))
    assert [item.tokens for item in together] == [tuple(text.split()) for text in targets]
    assert [item.unknown for item in together] == [0, 0, 0, 0, 0, 0, 1, 0, 0]
    for item, its in zip(together, alone, strict=True):
        assert item.token_log_probs == pytest.approx(its.token_log_probs, abs=1e-5)
        assert len(item.token_log_probs) == len(item.tokens) + 1
        assert item.log_prob == pytest.approx(sum(item.token_log_probs))


def test_lists_are_used_where_sources_repeat(monkeypatch):
    used = []
    real = score.score_lists
    monkeypatch.setattr(score, "score_lists", lambda *a: used.append(1) or real(*a))
    scorer = mixed_members()[0]
    list(score_pairs(scorer, [("a", "v"), ("b", "v"), ("c", "w")]))
    assert not used
    list(score_pairs(scorer, [("a", "v"), ("a", "w"), ("b", "v"), ("b", "v")]))
    assert used == [1]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("members", [1, 2])
def test_a_pair_that_a_model_cannot_have_is_named(monkeypatch, members, shared):
    """The third line, in a chunk of its own, scored by lists or by itself."""
    monkeypatch.setattr(score, "CHUNK_PAIRS", 2)
    scorer = tiny_scorer("aligned-rnn", AlignedConfig(**TINY))
    if members > 1:
        scorer = EnsembleScorer([scorer, tiny_scorer("aligned-rnn", AlignedConfig(**TINY), 2)])
    pairs = [("a b", "v w"), ("c", "v"), ("a b", "v w"), ("a b", "v")]
    if not shared:
        pairs[2] = ("a", "v")
    found = score_pairs(scorer, pairs)
    assert [next(found).line for _ in range(2)] == [0, 1]
    with pytest.raises(DataError, match="pair 4 has 2 source and 1 target tokens"):
        list(found)
    # where another member gives the pair a probability, that is its score
    mixed = EnsembleScorer([tiny_scorer("aligned-rnn", AlignedConfig(**TINY)), mixed_members()[0]])
    assert all(item.log_prob > -100 for item in score_pairs(mixed, pairs))
