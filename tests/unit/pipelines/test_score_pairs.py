"""Scoring pairs: those that share sources go as lists, with the same result as alone."""

import pytest
from builders import mixed_members

from s2st.pipelines import score
from s2st.pipelines.score import score_pairs


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
