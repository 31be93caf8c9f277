"""Restrictions of searches, against all hypotheses filtered and ranked in plain Python."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.errors import CheckpointError
from s2st.search.phrase_constraints import START, PhraseTracker
from s2st.search.registry import SEARCHES, SearchConfig
from s2st.search.restriction import Restriction
from s2st.search.restrictions import restrictions
from s2st.text.vocabulary import BOS_ID, EOS_ID, UNK_ID

V, W, X, Y = 4, 5, 6, 7
MOST = 4  # words of a hypothesis
LIMITS = {"max_len_a": 0.0, "max_len_b": MOST}
WIDE = 5**MOST * 2
SOURCES = [[4], [5, 6], [6, 4, 4]]
TABLES = {key: random_table(key, 4, end=2.0) for key in (4, 5, 6)}
NARROW = [name for name in SEARCHES.names() if name != "exhaustive"]
PHRASES = (
    ((V,),),
    ((W, X),),
    ((V, W), (W, X)),  # may overlap
    ((V, W, V), (V, V)),
    ((X,), (X, X)),  # one lies in the other
    ((Y, V), (X,), (W,)),
    (),
)


@pytest.fixture
def scorer():
    return FakeScorer(TABLES, "v w x y")


def run(name, scorer, source, **options):
    entry = SEARCHES.get(name)
    return entry.build(entry.config_type(**{**LIMITS, **options}))(scorer, source)


def sources(constraints=(), prefixes=()):
    source = make_source(SOURCES, range(3))
    return replace(source, constraints=tuple(constraints), prefixes=tuple(prefixes))


def contains(words, phrase):
    size = len(phrase)
    return any(words[i : i + size] == phrase for i in range(len(words) - size + 1))


def repeats(words, order):
    ngrams = [words[i : i + order] for i in range(len(words) - order + 1)]
    return len(set(ngrams)) < len(ngrams)


def every(key, keep, penalty=1.0, most=MOST):
    """All (words, log-probability, penalized one) of a source that `keep` lets pass, best first."""
    with np.errstate(divide="ignore"):
        log = np.log(TABLES[key])
    found = []
    for length in range(most + 1):
        for words in product(range(UNK_ID, 8), repeat=length):
            if not keep(words):
                continue
            path = (BOS_ID, *words, EOS_ID)
            steps = [log[i, path[i], path[i + 1]] for i in range(length + 1)]
            heavier = [
                value * (penalty if path[i + 1] in words[:i] else 1)
                for i, value in enumerate(steps)
            ]
            found.append((words, sum(steps), sum(heavier)))
    return sorted(found, key=lambda item: -item[2])


def check(groups, expected):
    for group, best in zip(groups, expected, strict=True):
        best = best[: len(group)]
        assert [h.tokens for h in group] == [words for words, _, _ in best]
        assert [h.log_prob for h in group] == pytest.approx([plain for _, plain, _ in best])
        assert [sum(h.token_log_probs) for h in group] == pytest.approx([p for _, p, _ in best])
        assert [h.score for h in group] == pytest.approx([score for _, _, score in best])


EXACT = [("beam", {"beam": WIDE, "nbest": 5}), ("exhaustive", {"nbest": 5})]


@pytest.mark.parametrize(("name", "options"), EXACT)
@pytest.mark.parametrize("phrases", PHRASES, ids=str)
def test_constrained_search_is_filtered_exhaustive_search(scorer, name, options, phrases):
    """The sentences beside it have other phrases, or none."""
    constraints = [phrases, (), ((Y,),)]
    groups = run(name, scorer, sources(constraints), **options)
    check(
        groups,
        [
            every(source[0], lambda words, p=own: all(contains(words, phrase) for phrase in p))
            for source, own in zip(SOURCES, constraints, strict=True)
        ],
    )


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("phrases", PHRASES, ids=str)
def test_narrow_searches_keep_all_phrases_too(scorer, name, phrases):
    options = {} if name == "greedy" else {"nbest": 3}
    groups = run(name, scorer, sources([phrases] * 3), **options)
    for group in groups:
        assert group
        for hypothesis in group:
            assert len(hypothesis.tokens) <= MOST
            assert all(contains(hypothesis.tokens, phrase) for phrase in phrases)


def test_phrases_may_be_longer_than_the_limit(scorer):
    """The limit gives way to the shortest texts that have all of them."""
    phrases = ((V, W, V), (V, V))
    for name in SEARCHES.names():
        groups = run(name, scorer, sources([phrases] * 3), max_len_b=1)
        assert {group[0].tokens for group in groups} <= {(V, W, V, V), (V, V, W, V)}


def test_a_beam_divided_by_progress_finds_more_than_a_forced_end(scorer):
    """In a narrow beam a phrase that the model dislikes is begun early, not only at the limit."""
    tables = {4: random_table(8, 4)}
    tables[4][..., V] *= 1e-4
    tables[4] /= tables[4].sum(axis=-1, keepdims=True)
    source = replace(make_source([[4]], [0]), constraints=(((V, W),),))
    for beam in (2, 3, 5):
        ((best, *_),) = run("beam", FakeScorer(tables, "v w x y"), source, beam=beam, max_len_b=8)
        assert len(best.tokens) < 8
        assert best.finished


@pytest.mark.parametrize(("name", "options"), EXACT)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_no_ngram_occurs_twice(scorer, name, options, order):
    groups = run(name, scorer, sources(), no_repeat_ngram_size=order, **options)
    check(groups, [every(s[0], lambda words: not repeats(words, order)) for s in SOURCES])


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("order", [1, 2])
def test_narrow_searches_repeat_no_ngram(scorer, name, order):
    groups = run(name, scorer, sources(), no_repeat_ngram_size=order, max_len_b=9)
    assert not any(repeats(h.tokens, order) for group in groups for h in group)


@pytest.mark.parametrize(("name", "options"), EXACT)
@pytest.mark.parametrize("penalty", [1.3, 4.0])
def test_repeated_words_cost_more(scorer, name, options, penalty):
    """The score has the penalty; the log-probabilities are the scorer's own."""
    groups = run(name, scorer, sources(), repetition_penalty=penalty, **options)
    check(groups, [every(s[0], lambda words: True, penalty) for s in SOURCES])


@pytest.mark.parametrize(("name", "options"), EXACT)
def test_all_restrictions_together(scorer, name, options):
    prefixes = [(V, V), (), (W,)]
    constraints = [((X,),), ((W, X),), ()]
    groups = run(
        name, scorer, sources(constraints, prefixes), no_repeat_ngram_size=2, unk=False, min_len=1,
        repetition_penalty=1.5, max_len_b=2, **options,
    )  # fmt: skip
    for group, source, prefix, phrases in zip(groups, SOURCES, prefixes, constraints, strict=True):

        def keep(words, prefix=prefix, phrases=phrases):
            return (
                words[: len(prefix)] == prefix
                and not repeats(words, 2)
                and UNK_ID not in words
                and words
                and all(contains(words, phrase) for phrase in phrases)
            )

        best = every(source[0], keep, 1.5, most=2 + len(prefix))
        # words of a prefix are given: they cost what the scorer says
        assert [h.tokens for h in group[:1]] == [
            max(best, key=lambda item: _penalized(source[0], item[0], len(prefix)))[0]
        ]
        assert group[0].score == pytest.approx(_penalized(source[0], group[0].tokens, len(prefix)))


def _penalized(key, words, given):
    with np.errstate(divide="ignore"):
        log = np.log(TABLES[key])
    path = (BOS_ID, *words, EOS_ID)
    return sum(
        log[i, path[i], path[i + 1]] * (1.5 if i >= given and path[i + 1] in words[:i] else 1)
        for i in range(len(words) + 1)
    )


@pytest.mark.parametrize("name", NARROW)
def test_restrictions_do_not_depend_on_the_neighbours(scorer, name):
    constraints = [((V, W),), (), ((Y,), (X, X))]
    prefixes = [(), (W, W), (V,)]
    options = {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, "max_len_b": 9}
    together = run(name, scorer, sources(constraints, prefixes), **options)
    for index in range(3):
        source = replace(
            make_source([SOURCES[index]], [index]),
            constraints=(constraints[index],),
            prefixes=(prefixes[index],),
        )
        (alone,) = run(name, scorer, source, **options)
        assert [h.tokens for h in alone] == [h.tokens for h in together[index]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[index]])


def test_phrases_come_before_repeated_ngrams(scorer):
    """Words that must come now may repeat an n-gram; a search of one path has no other way."""
    source = sources([((V, W, V, W),)] * 3)
    for name in SEARCHES.names():
        groups = run(name, scorer, source, no_repeat_ngram_size=2)
        assert [group[0].tokens for group in groups] == [(V, W, V, W)] * 3


def test_contradictory_restrictions_are_one_clear_error(scorer):
    with pytest.raises(CheckpointError, match="--no-repeat-ngram, a prefix and constraints"):
        run("beam", scorer, sources(), no_repeat_ngram_size=1, min_len=9, max_len_b=9)


class Never(Restriction):
    """A word that never follows."""

    def __init__(self, word):
        self.word = word

    def mask(self, log_probs, part):
        log_probs[:, self.word] = -torch.inf

    def select(self, rows, words):
        return self


def test_further_restrictions_can_be_given():
    forbid = restrictions(
        SearchConfig(), make_source([[4]], [0]), torch.device("cpu"), [Never(W), Never(EOS_ID)]
    )
    assert torch.nonzero(forbid(torch.zeros(1, 8))[0] > -torch.inf).squeeze(1).tolist() == [
        UNK_ID, V, X, Y,
    ]  # fmt: skip


def test_selecting_rows_leaves_the_old_ones_as_they_were():
    source = replace(make_source([[4], [4]], [0, 1]), constraints=(((V,),), ((W,),)))
    config = SearchConfig(no_repeat_ngram_size=1, repetition_penalty=2.0)
    forbid = restrictions(config, source, torch.device("cpu"))
    before = forbid(torch.full((2, 8), -1.0)).clone()
    after = forbid.select(torch.tensor([1, 0, 1]), torch.tensor([V, V, W]))
    # row 1 read v but needs w; row 0 has its v; row 1 read w
    table = after(torch.full((3, 8), -1.0))
    assert (table[:, EOS_ID] > -torch.inf).tolist() == [False, True, True]
    assert (table[:, V] > -torch.inf).tolist() == [False, False, True]
    assert torch.equal(forbid(torch.full((2, 8), -1.0)), before)


@pytest.mark.parametrize("seed", range(30))
def test_the_least_number_of_words_is_that_of_all_texts(seed):
    """Two or three phrases over two words, against the shortest text by trying all of them."""
    rng = np.random.default_rng(seed)
    phrases = [
        tuple(rng.integers(4, 6, rng.integers(1, 4)).tolist()) for _ in range(rng.integers(1, 4))
    ]
    tracker = PhraseTracker(phrases)
    for begun in product((4, 5), repeat=2):
        place = tracker.after(begun)
        shortest = next(
            length
            for length in range(12)
            if any(
                all(contains(begun + more, phrase) for phrase in phrases)
                for more in product((4, 5), repeat=length)
            )
        )
        assert tracker.needed(place) == shortest
    assert tracker.done(START) == 0


def test_many_phrases_are_still_kept(scorer):
    phrases = tuple((a, b) for a in (V, W, X) for b in (V, W, X))
    source = replace(make_source([[4]], [0]), constraints=(phrases,))
    for name in NARROW:
        ((best, *_),) = run(name, scorer, source, max_len_b=0)
        assert all(contains(best.tokens, phrase) for phrase in phrases)
