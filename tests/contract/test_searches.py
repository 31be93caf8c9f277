"""The contract of Search, tested on every search with every scorer."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from builders import (
    equal_lengths,
    more_padding,
    source_batch,
    sources_for,
    trainable,
    variants,
)
from builders import scorer as tiny_scorer

from s2st.data.batch import make_batch, make_source
from s2st.scoring.base import Scorer
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.search.registry import SEARCHES
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

SETTINGS = {
    "greedy": {},
    "beam": {"beam": 3, "nbest": 3},
    "sampling": {"nbest": 3, "top_k": 4, "temperature": 1.3},
    "diverse-beam": {"beam": 4, "diverse_beam_groups": 2, "nbest": 4},
    "stochastic-beam": {"nbest": 3, "temperature": 1.3},
    "mbr": {"nbest": 3, "candidates": 8},
    "exhaustive": {"nbest": 4},
}
STEPWISE = [name for name in SEARCHES.names() if name != "exhaustive"]
SIZE = 5  # words that a hypothesis is made of: four, and unk


def search(name, **options):
    entry = SEARCHES.get(name)
    return entry.build(entry.config_type(**options))


def found(hypotheses):
    return [[(h.tokens, h.finished) for h in group] for group in hypotheses]


def assert_same(left, right):
    assert found(left) == found(right)
    for mine, its in zip(left, right, strict=True):
        assert [h.score for h in mine] == pytest.approx([h.score for h in its], abs=1e-9)


def short(scorer, least=0):
    """Limits: 3 words for 5 source words, or as many where a target is as long as its source.

    Every source may have `least` words.
    """
    if equal_lengths(getattr(scorer, "model", None)):
        return {"max_len_a": 1.0, "max_len_b": 0}
    return {"max_len_a": 0.2, "max_len_b": 2} if least > 1 else {"max_len_a": 0.5, "max_len_b": 1}


def most_words(scorer, source, least=0):
    limits = short(scorer, least)
    return int(limits["max_len_a"] * len(source) + limits["max_len_b"])


def possible_sources(scorer, seed, min_len=0):
    """Four sources that have a hypothesis of at least so many words."""
    equal = equal_lengths(getattr(scorer, "model", None))
    sources = sources_for(scorer, 4, seed=seed)
    return [s for s in sources if not equal or len(s) >= min_len]


def brute_force(scorer, sources, *, nbest=1, min_len=0, unk=True, lenpen=0.0):
    """The n best (tokens, score) of each source by scoring every sequence there is, plainly."""
    best = []
    for source in sources:
        most = most_words(scorer, source, min_len)
        scored = [
            (tokens, total / (len(tokens) + 1) ** lenpen)
            for tokens, total in every_sequence(scorer, tuple(source), most)
            if len(tokens) >= min_len and (unk or UNK_ID not in tokens)
        ]
        best.append(sorted(scored, key=lambda item: -item[1])[:nbest])
    return best


@cache
def every_sequence(scorer, source, most):
    """(tokens, log-probability) of every sequence of at most so many words that is possible."""
    words = range(UNK_ID, len(scorer.target.vocabulary))
    every = [w for n in range(most + 1) for w in product(words, repeat=n)]
    pairs = make_batch([source] * len(every), every, range(len(every)))
    totals = Scorer.score(scorer, pairs).sum(1).tolist()
    return [
        (tokens, total)
        for tokens, total in zip(every, totals, strict=True)
        if total > -float("inf")
    ]


@pytest.mark.parametrize("name", SEARCHES.names())
def test_log_probs_are_the_scores_of_the_tokens(scorer, name):
    sources = sources_for(scorer, 4)
    groups = search(name, **SETTINGS[name], **short(scorer))(scorer, source_batch(sources))
    assert len(groups) == len(sources)
    flat = [(i, h) for i, group in enumerate(groups) for h in group]
    batch = make_batch([sources[i] for i, _ in flat], [h.tokens for _, h in flat], range(len(flat)))
    expected = scorer.score(batch)
    for row, (index, hypothesis) in enumerate(flat):
        length = len(hypothesis.tokens) + 1
        assert len(hypothesis.token_log_probs) == length
        assert hypothesis.token_log_probs == pytest.approx(expected[row, :length].tolist())
        assert hypothesis.log_prob == pytest.approx(float(expected[row].sum()))
        if name != "mbr":  # whose score is the expected utility
            assert hypothesis.score == hypothesis.log_prob
        most = most_words(scorer, sources[index])
        assert len(hypothesis.tokens) <= most
        assert hypothesis.finished == (len(hypothesis.tokens) < most)
    for group in groups:
        assert group
        assert [h.score for h in group] == sorted((h.score for h in group), reverse=True)


def test_beam_1_and_greedy_take_the_best_word_at_every_step(scorer):
    for source in sources_for(scorer, 6):
        state, word, words = scorer.start(source_batch([source])), BOS_ID, []
        while word != EOS_ID and len(words) < most_words(scorer, source):
            step = scorer.step(torch.tensor([word]), state)
            allowed = step.log_probs[0].tolist()
            allowed[PAD_ID] = allowed[BOS_ID] = -float("inf")
            word, state = allowed.index(max(allowed)), step.state
            if word != EOS_ID:
                words.append(word)
        for name, options in (("greedy", {}), ("beam", {"beam": 1})):
            (made,) = search(name, **options, **short(scorer))(scorer, source_batch([source]))
            assert list(made[0].tokens) == words


@pytest.mark.parametrize("name", STEPWISE)
def test_nothing_changes_with_neighbours_order_and_padding(scorer, name):
    rows = sources_for(scorer, 6, seed=2)
    run = search(name, **SETTINGS[name], max_len_a=1.0, max_len_b=2)
    together = run(scorer, source_batch(rows))
    order = [4, 1, 5, 0, 3, 2]
    shuffled = run(scorer, make_source([rows[i] for i in order], order))
    assert_same(shuffled, [together[i] for i in order])
    for index in (0, 3, 5):
        assert_same(run(scorer, make_source([rows[index]], [index])), [together[index]])
    assert_same(run(scorer, more_padding(source_batch(rows))), together)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nbest": 5},
        {"min_len": 2, "nbest": 3},
        {"unk": False, "nbest": 4},
        {"lenpen": 1.0, "nbest": 6},
        {"lenpen": 0.4, "min_len": 1, "unk": False, "nbest": 200},
    ],
    ids=str,
)
def test_a_wide_beam_finds_the_true_best(scorer, options):
    sources = possible_sources(scorer, 3, options.get("min_len", 0))
    wide = SIZE**3 * 2
    limits = short(scorer, options.get("min_len", 0))
    groups = search("beam", beam=wide, **options, **limits)(scorer, source_batch(sources))
    expected = brute_force(scorer, sources, **options)
    for group, best in zip(groups, expected, strict=True):
        assert [h.tokens for h in group] == [tokens for tokens, _ in best]
        assert [h.score for h in group] == pytest.approx([score for _, score in best])


@pytest.mark.parametrize("options", [{}, {"nbest": 7}, {"min_len": 2}, {"unk": False}], ids=str)
def test_exhaustive_search_is_the_true_best(scorer, options):
    sources = possible_sources(scorer, 4, options.get("min_len", 0))
    limits = short(scorer, options.get("min_len", 0))
    groups = search("exhaustive", **options, **limits)(scorer, source_batch(sources))
    expected = brute_force(scorer, sources, **options)
    for group, best in zip(groups, expected, strict=True):
        assert [h.tokens for h in group] == [tokens for tokens, _ in best]
        assert [h.score for h in group] == pytest.approx([score for _, score in best])


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize("architecture", trainable())
def test_an_ensemble_of_one_model_searches_as_that_model(architecture, name):
    member = tiny_scorer(architecture, variants(architecture)[0])
    sources = source_batch(sources_for(member))
    run = search(name, **SETTINGS[name])
    assert_same(run(EnsembleScorer([member, member]), sources), run(member, sources))


def test_search_leaves_the_sources_as_they_were(scorer):
    source = source_batch(sources_for(scorer))
    before = source.tokens.clone(), source.lengths.clone()
    for name in STEPWISE:
        search(name, **SETTINGS[name])(scorer, source)
    assert torch.equal(source.tokens, before[0])
    assert torch.equal(source.lengths, before[1])


PREFIXES = ((4, 5), (), (3,), (6, 6, 4, 5))


def with_prefixes(sources):
    return replace(source_batch(sources), prefixes=PREFIXES[: len(sources)])


@pytest.mark.parametrize("name", SEARCHES.names())
def test_hypotheses_begin_with_their_prefix_whatever_the_other_rules(scorer, name):
    """Prefixes hold an unknown word, and more words than the limits allow."""
    limits = {**short(scorer), "unk": False}
    if name == "exhaustive" or equal_lengths(getattr(scorer, "model", None)):
        limits["unk"] = True
    if name == "exhaustive":  # else there are too many
        limits |= {"max_len_a": 0.5, "max_len_b": 1}
    sources = [[4, 5, 6, 4], [5], [6, 4], [5, 4, 6, 6]]
    groups = search(name, **SETTINGS[name], **limits)(scorer, with_prefixes(sources))
    flat = [(i, h) for i, group in enumerate(groups) for h in group]
    assert {i for i, _ in flat} == {0, 1, 2, 3}
    batch = make_batch([sources[i] for i, _ in flat], [h.tokens for _, h in flat], range(len(flat)))
    expected = scorer.score(batch).sum(dim=1).tolist()
    for (index, hypothesis), total in zip(flat, expected, strict=True):
        prefix = PREFIXES[index]
        assert hypothesis.tokens[: len(prefix)] == prefix
        assert UNK_ID not in hypothesis.tokens[len(prefix) :] or limits["unk"]
        most = most_words(scorer, sources[index]) + len(prefix)
        assert len(hypothesis.tokens) <= most
        assert hypothesis.log_prob == pytest.approx(total)


def test_the_best_with_a_prefix_is_the_best_of_all_that_begin_so(scorer):
    if equal_lengths(getattr(scorer, "model", None)):
        pytest.skip("a prefix adds to the limit, which is the length there is")
    sources = sources_for(scorer, 3, seed=5)
    source = replace(source_batch(sources), prefixes=((5,), (), (4, 3)))
    limits = {"max_len_a": 0.0, "max_len_b": 2}
    wide = search("beam", beam=SIZE**4 * 2, nbest=2, **limits)(scorer, source)
    every = search("exhaustive", nbest=2, **limits)(scorer, source)
    assert_same(wide, every)
    for prefix, group in zip(source.prefixes, every, strict=True):
        assert all(h.tokens[: len(prefix)] == prefix for h in group)


@pytest.mark.parametrize("name", STEPWISE)
def test_attention_comes_back_with_each_hypothesis(scorer, name):
    """It is what stepping through the hypothesis gives, over the source's own positions."""
    sources = sources_for(scorer, 5, seed=9)
    groups = search(name, **SETTINGS[name], **short(scorer))(scorer, source_batch(sources))
    for source, group in zip(sources, groups, strict=True):
        for hypothesis in group:
            state, rows = scorer.start(source_batch([source])), []
            for token in (BOS_ID, *hypothesis.tokens):
                step = scorer.step(torch.tensor([token]), state)
                state = step.state
                rows.append(step.attention)
            if rows[0] is None:
                assert hypothesis.attention is None
                continue
            assert hypothesis.attention.shape == (len(hypothesis.tokens) + 1, len(source) + 1)
            expected = torch.cat(rows).float().numpy()
            np.testing.assert_allclose(hypothesis.attention, expected, atol=1e-6)
            np.testing.assert_allclose(hypothesis.attention.sum(axis=1), 1, atol=1e-5)


def test_one_group_is_a_beam(scorer):
    sources = source_batch(sources_for(scorer, 5, seed=3))
    options = {"beam": 4, "nbest": 3, "lenpen": 0.7, **short(scorer)}
    expected = search("beam", **options)(scorer, sources)
    assert_same(search("diverse-beam", diverse_beam_groups=1, **options)(scorer, sources), expected)


def test_enough_samples_without_replacement_are_all_hypotheses(scorer):
    sources = sources_for(scorer, 3, seed=4)
    run = search("stochastic-beam", nbest=SIZE**5 * 2, **short(scorer))
    groups = run(scorer, source_batch(sources))
    for group, best in zip(groups, brute_force(scorer, sources, nbest=SIZE**5 * 2), strict=True):
        assert {h.tokens for h in group} == {tokens for tokens, _ in best}
        assert len({h.tokens for h in group}) == len(group)
