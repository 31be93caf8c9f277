"""Beam search on tables of known probabilities, against the paper's rule written out plainly."""

from itertools import pairwise, product

import numpy as np
import pytest
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.errors import CheckpointError
from s2st.search.beam import BeamSearch
from s2st.search.greedy import GreedySearch
from s2st.search.registry import BeamConfig, GreedyConfig, SamplingConfig
from s2st.search.sampling import SamplingSearch
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

GREEDY = GreedySearch(GreedyConfig())
SAMPLING = SamplingSearch(SamplingConfig())
KEYS = (4, 5, 6)  # first source words, each with a table of its own


def table_of(rows):
    """Probabilities from {word before: {word: p}}, rows not named going to EOS at once."""
    table = np.zeros((8, 8))
    table[:, EOS_ID] = 1.0
    for before, nexts in rows.items():
        table[before] = 0
        for word, probability in nexts.items():
            table[before, word] = probability
    return table


def paper_rule(table, words, config):
    """The n best of one source by the rule of section 3.2, to the length limit, in plain Python.

    B partial hypotheses; each extended by every word; the B best by total log-probability kept;
    EOS moves one to the complete ones. No early end, no dropped rows, no tensors.
    """
    with np.errstate(divide="ignore"):
        log = np.log(table)
    limit = int(config.max_len_a * words + config.max_len_b)
    partial, complete = [((), 0.0)], []
    for step in range(limit + 1):
        extended = []
        for tokens, total in partial:
            before = tokens[-1] if tokens else BOS_ID
            for word in range(log.shape[-1]):
                if word in (PAD_ID, BOS_ID) or (word == UNK_ID and not config.unk):
                    continue
                if (word == EOS_ID and step < config.min_len) or (word != EOS_ID and step == limit):
                    continue
                value = log[step, before, word]
                if value > -np.inf:
                    extended.append(((*tokens, word), total + value))
        extended.sort(key=lambda item: -item[1])
        partial = []
        for tokens, total in extended[: config.beam]:
            if tokens[-1] == EOS_ID:
                complete.append((tokens[:-1], total, total / len(tokens) ** config.lenpen))
            else:
                partial.append((tokens, total))
    complete.sort(key=lambda item: -item[2])
    return complete[: config.nbest]


def run(scorer, sources, config):
    return BeamSearch(config)(scorer, make_source(sources, range(len(sources))))


def assert_follows_the_paper(tables, sources, config):
    groups = run(FakeScorer(tables, "v w x y"), sources, config)
    for source, group in zip(sources, groups, strict=True):
        expected = paper_rule(tables[source[0]], len(source), config)
        assert [h.tokens for h in group] == [tokens for tokens, _, _ in expected]
        assert [h.log_prob for h in group] == pytest.approx([total for _, total, _ in expected])
        assert [h.score for h in group] == pytest.approx([score for _, _, score in expected])


def test_a_case_by_hand():
    """Greedy takes w (0.6), which ends at 0.6 x 0.5; v then y is worth 0.4 x 0.9."""
    v, w, x, y = 4, 5, 6, 7
    table = table_of(
        {BOS_ID: {v: 0.4, w: 0.6}, v: {y: 0.9, x: 0.1}, w: {EOS_ID: 0.5, x: 0.25, y: 0.25}}
    )
    scorer = FakeScorer({4: table}, "v w x y")
    ((greedy,),) = run(scorer, [[4]], BeamConfig(beam=1))
    assert greedy.tokens == (w,)
    assert greedy.log_prob == pytest.approx(np.log(0.3))
    (best,) = run(scorer, [[4]], BeamConfig(beam=2, nbest=2))
    assert [h.tokens for h in best] == [(v, y), (w,)]
    assert [h.log_prob for h in best] == pytest.approx([np.log(0.36), np.log(0.3)])
    assert best[0].token_log_probs == pytest.approx((np.log(0.4), np.log(0.9), 0.0), abs=1e-12)
    assert all(h.finished for h in best)


def test_length_normalisation_by_hand():
    """log 0.25 / 2 words (with EOS) loses to log 0.2 / 4 words; unnormalised it wins."""
    v, w, x = 4, 5, 6
    table = table_of({BOS_ID: {v: 0.25, w: 0.2, EOS_ID: 0.55}, w: {x: 1.0}, x: {7: 1.0}})
    scorer = FakeScorer({4: table}, "v w x y")
    (plain,) = run(scorer, [[4]], BeamConfig(beam=4, nbest=3))
    assert [h.tokens for h in plain] == [(), (v,), (w, x, 7)]
    (normal,) = run(scorer, [[4]], BeamConfig(beam=4, nbest=3, lenpen=1.0))
    assert [h.tokens for h in normal] == [(w, x, 7), (), (v,)]
    expected = [np.log(0.2) / 4, np.log(0.55) / 1, np.log(0.25) / 2]
    assert [h.score for h in normal] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    "options",
    [
        {"beam": 1},
        {"beam": 2},
        {"beam": 2, "nbest": 5},
        {"beam": 5, "nbest": 5},
        {"beam": 12, "nbest": 3},
        {"beam": 3, "lenpen": 0.6},
        {"beam": 4, "nbest": 4, "lenpen": 1.0},
        {"beam": 4, "nbest": 2, "lenpen": 2.5},
        {"beam": 3, "min_len": 3, "unk": False},
        {"beam": 30, "nbest": 10, "max_len_a": 0.0, "max_len_b": 2},
        {"beam": 3, "min_len": 4, "max_len_a": 0.0, "max_len_b": 4},
    ],
    ids=str,
)
def test_dropping_rows_and_stopping_early_change_nothing(seed, options):
    """What the plain rule finds by going on to the limit, the early stop must find too."""
    end = [0.3, 1.0, 3.0][seed % 3]
    sharpness = [1.0, 4.0][seed % 2]
    tables = {key: random_table(100 * seed + key, 4, end, sharpness) for key in KEYS}
    config = BeamConfig(**{"max_len_a": 1.0, "max_len_b": 4, **options})
    assert_follows_the_paper(tables, [[4, 4, 4], [5], [6, 4, 5, 6], [4]], config)


def test_rows_that_cannot_win_are_not_stepped():
    """EOS has 0.9 at once, so nothing else can beat it: one step is all."""
    scorer = FakeScorer({4: table_of({BOS_ID: {EOS_ID: 0.9, 4: 0.1}, 4: {4: 1.0}})}, "v w x y")
    ((best,),) = run(scorer, [[4]], BeamConfig(beam=5))
    assert best.tokens == ()
    assert scorer.rows == [1]


def test_finished_sentences_leave_the_batch():
    short = table_of({BOS_ID: {EOS_ID: 0.9, 4: 0.1}})
    long = table_of({BOS_ID: {4: 1.0}, 4: {5: 1.0}, 5: {6: 1.0}, 6: {EOS_ID: 1.0}})
    scorer = FakeScorer({4: short, 5: long}, "v w x y")
    groups = run(scorer, [[4], [5], [4], [4]], BeamConfig(beam=1))
    assert [g[0].tokens for g in groups] == [(), (4, 5, 6), (), ()]
    assert scorer.rows == [4, 1, 1, 1]


@pytest.mark.parametrize("unk", [True, False])
@pytest.mark.parametrize("min_len", [0, 2])
@pytest.mark.parametrize("lenpen", [0.0, 0.8])
def test_a_wide_beam_is_brute_force(unk, min_len, lenpen):
    table = random_table(7, 4)
    log = np.log(np.maximum(table, 1e-300))
    words = range(UNK_ID if unk else UNK_ID + 1, 8)
    every = []
    for length in range(min_len, 5):
        for tokens in product(words, repeat=length):
            path = [BOS_ID, *tokens, EOS_ID]
            total = sum(log[i, a, b] for i, (a, b) in enumerate(pairwise(path)))
            every.append((tokens, total / (length + 1) ** lenpen))
    every.sort(key=lambda item: -item[1])
    config = BeamConfig(
        beam=4000, nbest=50, min_len=min_len, unk=unk, lenpen=lenpen, max_len_a=0.0, max_len_b=4
    )
    (group,) = run(FakeScorer({4: table}, "v w x y"), [[4]], config)
    assert [h.tokens for h in group] == [tokens for tokens, _ in every[:50]]
    assert [h.score for h in group] == pytest.approx([score for _, score in every[:50]])


def test_a_length_limit_forces_the_end_and_says_so():
    table = table_of({BOS_ID: {4: 1.0}, 4: {4: 0.99, EOS_ID: 0.01}})
    scorer = FakeScorer({4: table}, "v w x y")
    config = BeamConfig(beam=1, max_len_a=1.5, max_len_b=1)
    (one,), (three,) = run(scorer, [[4], [4, 4, 4]], config)
    assert [len(one.tokens), len(three.tokens)] == [2, 5]  # floor(1.5 n + 1)
    assert not one.finished
    assert not three.finished
    assert one.log_prob == pytest.approx(np.log(0.99) + np.log(0.01))


def test_an_empty_source_gets_an_answer():
    table = table_of({BOS_ID: {4: 0.7, EOS_ID: 0.3}})
    scorer = FakeScorer({EOS_ID: table, 4: table}, "v w x y")
    (best,), (other,) = run(scorer, [[], [4]], BeamConfig(max_len_a=2.0, max_len_b=0, beam=2))
    assert best.tokens == ()  # 2 x 0 + 0 words are allowed
    assert best.log_prob == pytest.approx(np.log(0.3))
    assert other.tokens == (4,)


@pytest.mark.parametrize("search", [BeamSearch(BeamConfig()), GREEDY, SAMPLING])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_scores_that_are_not_numbers_are_an_error(search, value):
    """A model gone to NaN, or one that gives no word a chance: never an empty line, nor a hang."""
    scorer = FakeScorer({4: np.full((8, 8), value)}, "v w x y")
    with pytest.raises(CheckpointError, match="no finite probability"):
        search(scorer, make_source([[4]], [0]))


def test_double_sums_do_not_drift():
    """Totals are kept in double precision: 300 words of log-probability add up exactly."""
    table = table_of({BOS_ID: {4: 0.9, 5: 0.1}, 4: {4: 0.9, EOS_ID: 0.1}})
    scorer = FakeScorer({4: table}, "v w x y")
    config = BeamConfig(beam=1, min_len=300, max_len_b=300, max_len_a=0.0)
    ((best,),) = run(scorer, [[4]], config)
    assert best.log_prob == pytest.approx(300 * np.log(0.9) + np.log(0.1), rel=1e-12)
    assert len(best.token_log_probs) == 301
