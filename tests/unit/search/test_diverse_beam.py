"""Diverse beam search against the rule of Vijayakumar et al. (2018) written out plainly."""

from collections import Counter

import numpy as np
import pytest
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.errors import UsageError
from s2st.search.diverse_beam import DiverseBeamSearch
from s2st.search.registry import SEARCHES, DiverseBeamConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID, UNK_ID

SOURCES = [[4], [5, 6], [6, 4, 4]]
MOST = 6
LIMITS = {"max_len_a": 0.0, "max_len_b": MOST}


def plain(table, config):
    """The hypotheses of each group by the rule: groups in turn, counts of words of this step."""
    with np.errstate(divide="ignore"):
        log = np.log(table)
    each, wanted = (
        config.beam // config.diverse_beam_groups,
        -(-config.nbest // config.diverse_beam_groups),
    )
    partial = [[((), 0.0)] for _ in range(config.diverse_beam_groups)]
    complete = [[] for _ in range(config.diverse_beam_groups)]
    for step in range(MOST + 1):
        taken = Counter()
        for group in range(config.diverse_beam_groups):
            extended = []
            for tokens, total in partial[group]:
                before = tokens[-1] if tokens else BOS_ID
                for word in (EOS_ID, *range(UNK_ID, log.shape[-1])):
                    value = log[step, before, word]
                    if value > -np.inf and (word == EOS_ID or step < MOST):
                        cost = config.diverse_beam_strength * taken[word]
                        extended.append((total + value - cost, (*tokens, word), total + value))
            chosen = sorted(extended, reverse=True)[:each]
            taken.update(tokens[-1] for _, tokens, _ in chosen)
            ended = [(total, words[:-1]) for _, words, total in chosen if words[-1] == EOS_ID]
            complete[group] = sorted([*complete[group], *ended], reverse=True)
            best = complete[group][:wanted]
            bound = best[-1][0] if len(best) == wanted else -np.inf
            partial[group] = [
                (words, total)
                for _, words, total in chosen
                if words[-1] != EOS_ID and total > bound  # the others cannot win
            ]
    return [group[:wanted] for group in complete]


def merged(groups, nbest):
    """Each group's best, then each group's second best; no text twice; best first."""
    found = []
    for rank in range(max(map(len, groups))):
        for group in groups:
            if rank < len(group) and group[rank] not in found:
                found.append(group[rank])
    return sorted(found[:nbest], reverse=True)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "options",
    [
        {"beam": 2, "diverse_beam_groups": 2, "nbest": 2},
        {"beam": 6, "diverse_beam_groups": 3, "nbest": 6},
        {"beam": 6, "diverse_beam_groups": 2, "nbest": 3, "diverse_beam_strength": 1.5},
        {"beam": 5, "diverse_beam_groups": 5, "nbest": 4, "diverse_beam_strength": 0.2},
        {"beam": 4, "diverse_beam_groups": 4, "nbest": 1},
        {"beam": 8, "diverse_beam_groups": 4, "nbest": 8, "diverse_beam_strength": 0.0},
        {"beam": 3, "diverse_beam_groups": 1, "nbest": 3},
    ],
    ids=str,
)
def test_it_follows_the_rule(seed, options):
    tables = {key: random_table(100 * seed + key, 4, end=1.5) for key in (4, 5, 6)}
    config = DiverseBeamConfig(**options, **LIMITS)
    source = make_source(SOURCES, range(3))
    groups = DiverseBeamSearch(config)(FakeScorer(tables, "v w x y"), source)
    for line, group in zip(SOURCES, groups, strict=True):
        expected = merged(plain(tables[line[0]], config), config.nbest)
        assert [h.tokens for h in group] == [words for _, words in expected]
        assert [h.score for h in group] == pytest.approx([total for total, _ in expected])
        assert [h.log_prob for h in group] == pytest.approx([total for total, _ in expected])


def test_groups_begin_with_different_words():
    """A strong penalty makes every group choose another first word."""
    tables = {key: random_table(key, 4, end=0.1) for key in (4, 5, 6)}
    config = DiverseBeamConfig(
        beam=4, diverse_beam_groups=4, nbest=4, diverse_beam_strength=100.0, min_len=1, **LIMITS
    )
    groups = DiverseBeamSearch(config)(
        FakeScorer(tables, "v w x y"), make_source(SOURCES, range(3))
    )
    for group in groups:
        assert len({h.tokens[0] for h in group}) == 4


def test_groups_that_do_not_divide_the_beam_are_refused():
    with pytest.raises(
        UsageError, match="--diverse-beam-groups 4 does not divide --beam 6; use --beam 8"
    ):
        DiverseBeamConfig(beam=6, diverse_beam_groups=4).check()
    assert SEARCHES.get("diverse-beam").config_type().check() is None
