"""The contract of shortlists: a softmax over each sentence's own words, whatever the batch."""

import numpy as np
import pytest
import torch
from builders import TINY, mixed_members, source_batch, sources_for
from builders import scorer as tiny_scorer

from s2st.errors import UsageError
from s2st.lexicon.lexicon_files import Lexicon
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.shortlist import Shortlists
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig, SamplingConfig, StochasticBeamConfig
from s2st.search.sampling import SamplingSearch
from s2st.search.shortlist_search import ShortlistSearch
from s2st.search.stochastic_beam import StochasticBeamSearch
from s2st.text.vocabulary import BOS_ID

SHORT = {"max_len_a": 0.0, "max_len_b": 3}


def lexicon(scorer, seed=0):
    """Two or three random translations of each source word."""
    draw = np.random.default_rng(seed)
    rows = sorted(
        (source, -float(draw.random()), int(target))
        for source in range(3, len(scorer.source.vocabulary))
        for target in draw.choice(np.arange(4, len(scorer.target.vocabulary)), 2, replace=False)
    )
    source, values, target = (np.array(column) for column in zip(*rows, strict=True))
    return Lexicon(source, target, -values, len(rows))


def shortlists(scorer, first=0, best=1):
    sides = scorer.source.vocabulary, scorer.target.vocabulary
    return Shortlists(lexicon(scorer), *sides, first, best)


def can_be_narrowed(scorer):
    """By its construction: neural, with a full or sampled softmax that has EOS."""
    if isinstance(scorer, EnsembleScorer):
        return all(map(can_be_narrowed, scorer.members))
    config = getattr(getattr(scorer, "model", None), "config", None)
    return getattr(config, "softmax", "adaptive") != "adaptive" and "Aligned" not in str(config)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


def restricted(scorer, source, words, allowed):
    """(B, V) log-probabilities after some words, with all other words' logits at -inf."""
    if isinstance(scorer, EnsembleScorer):
        parts = []
        for member in scorer.members:
            table = torch.from_numpy(scorer.target.vocabulary.mapping_to(member.target.vocabulary))
            of_member = torch.zeros_like(allowed)
            of_member[:, table] = allowed
            sources = scorer.source.vocabulary.mapping_to(member.source.vocabulary)
            ids = torch.from_numpy(sources)[source.tokens]
            part = restricted(
                member, type(source)(ids, source.lengths, source.line_ids), table[words], of_member
            )
            parts.append(part[:, table])
        weights = torch.tensor(scorer.weights, dtype=torch.float64).log()
        stacked = torch.stack(parts)
        if scorer.mode == "probability":
            return (stacked + weights[:, None, None]).logsumexp(0)
        mixed = torch.where(allowed, (stacked * weights.exp()[:, None, None]).sum(0), -torch.inf)
        return mixed.log_softmax(1)
    state = scorer.start(source)
    for word in words:
        result = scorer.step(torch.full((len(source),), int(word)), state)
        state = result.state
    return result.log_probs.masked_fill(~allowed, -torch.inf).log_softmax(1)


def test_softmax_is_over_the_words_of_each_sentence(scorer):
    rows = sources_for(scorer)
    source = source_batch(rows)
    shortlist = shortlists(scorer).of(source)
    if not can_be_narrowed(scorer):
        with pytest.raises(UsageError, match="--shortlist"):
            scorer.narrowed(shortlist)
        return
    allowed = torch.zeros(len(rows), len(scorer.target.vocabulary), dtype=torch.bool)
    allowed[:, shortlist.words] = ~shortlist.forbidden
    assert not allowed.all()
    narrow = scorer.narrowed(shortlist)
    place = int((shortlist.words >= 4).nonzero()[0])
    state = narrow.start(source)
    order = torch.tensor([3, 0, 4, 4])
    result = narrow.step(torch.full((len(rows),), BOS_ID), state)
    result = narrow.step(torch.full((len(order),), place), result.state.select(order))
    words = torch.tensor([BOS_ID, int(shortlist.words[place])])
    expected = restricted(scorer, source, words, allowed)[order][:, shortlist.words]
    close(result.log_probs, expected)


@pytest.mark.parametrize("search", ["beam", "sampling"])
def test_neighbours_do_not_change_hypotheses(scorer, search):
    if not can_be_narrowed(scorer):
        pytest.skip("refused")
    made = {
        "beam": BeamSearch(BeamConfig(beam=3, nbest=3, **SHORT)),
        "sampling": SamplingSearch(SamplingConfig(nbest=2, **SHORT)),
    }[search]
    narrow = ShortlistSearch(made, shortlists(scorer), scorer)
    source = source_batch(sources_for(scorer, 6, 1))
    together = narrow(scorer, source)
    for row, group in enumerate(together):
        alone = type(source)(
            source.tokens[row : row + 1],
            source.lengths[row : row + 1],
            source.line_ids[row : row + 1],
        )
        (found,) = narrow(scorer, alone)
        assert [h.tokens for h in found] == [h.tokens for h in group]
        for one, other in zip(found, group, strict=True):
            assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-9)
        own = shortlists(scorer).of(alone)
        assert {word for h in group for word in h.tokens} <= set(own.words.tolist())


def test_a_shortlist_of_all_words_changes_nothing(scorer):
    if not can_be_narrowed(scorer):
        pytest.skip("refused")
    search = BeamSearch(BeamConfig(beam=3, nbest=3, **SHORT))
    source = source_batch(sources_for(scorer, 4, 2))
    plain = search(scorer, source)
    narrow = ShortlistSearch(search, shortlists(scorer, first=100), scorer)(scorer, source)
    for ours, expected in zip(narrow, plain, strict=True):
        assert [h.tokens for h in ours] == [h.tokens for h in expected]
        for one, other in zip(ours, expected, strict=True):
            assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-9)


def tiny():
    config = ARCHITECTURES.get("lstm").config_type
    return tiny_scorer("lstm", config(**TINY), target_words="v w x y b z")


def test_what_a_shortlist_has():
    """Specials, frequent words, the best translations, words spelled alike, demanded words."""
    scorer = tiny()  # sources a b c d e f are 4 to 9; v w x y b z are 4 to 9
    lines = Lexicon(np.array([4, 4, 4, 6]), np.array([9, 7, 5, 5]),
                    np.array([0.6, 0.3, 0.1, 1.0]), 4)  # fmt: skip
    sides = scorer.source.vocabulary, scorer.target.vocabulary

    def words(rows, first=0, best=2, least=0.0, values=lines, **demands):
        batch = source_batch(rows)
        batch = type(batch)(batch.tokens, batch.lengths, batch.line_ids, **demands)
        made = Shortlists(values, *sides, first, best, least).of(batch)
        return [made.words[~row].tolist()[4:] for row in made.forbidden]

    assert words([[4], [5], [6], []]) == [[7, 9], [8], [5], []]
    assert words([[4, 6]], first=1, best=1) == [[4, 5, 9]]
    assert words([[4, 6]], least=0.5) == [[5, 9]]
    assert words([[9], [4]], prefixes=((6,), ()), best=0) == [[6], []]
    assert words([[9], [4]], constraints=((), ((6, 5), (4,))), best=0) == [[], [4, 5, 6]]
    logs = Lexicon(lines.source, lines.target, np.log(lines.values), 4)
    assert words([[4, 6]], least=0.5, values=logs) == [[5, 9]]


def test_prefixes_and_phrases_are_kept():
    scorer = tiny()
    source = source_batch([[4, 5], [6]])
    demanding = type(source)(
        source.tokens, source.lengths, source.line_ids, ((9, 4), ()), ((), ((7, 6),))
    )
    search = BeamSearch(BeamConfig(beam=4, max_len_a=0.0, max_len_b=4))
    found = ShortlistSearch(search, shortlists(scorer, best=1), scorer)(scorer, demanding)
    assert found[0][0].tokens[:2] == (9, 4)
    assert " 7 6 " in f" {' '.join(map(str, found[1][0].tokens))} "


def test_probabilities_that_underflow_are_exact_in_an_ensemble():
    members = mixed_members()
    for member in members:
        with torch.no_grad():
            member.model.softmax.weight.mul_(400)
    both = [EnsembleScorer(members, mode="probability"), members[0]]
    for scorer in (both[0], EnsembleScorer(both)):
        source = source_batch(sources_for(scorer))
        shortlist = shortlists(scorer).of(source)
        found = scorer.narrowed(shortlist).step(
            torch.full((len(source),), BOS_ID), scorer.narrowed(shortlist).start(source)
        )
        allowed = torch.zeros(len(source), len(scorer.target.vocabulary), dtype=torch.bool)
        allowed[:, shortlist.words] = ~shortlist.forbidden
        if scorer is both[0]:
            expected = restricted(scorer, source, torch.tensor([BOS_ID]), allowed)
            close(found.log_probs, expected[:, shortlist.words])
        assert torch.isfinite(found.log_probs[~shortlist.forbidden]).all()


def test_a_search_that_draws_for_each_word_is_refused():
    scorer = tiny()
    search = StochasticBeamSearch(StochasticBeamConfig())
    with pytest.raises(UsageError, match="--shortlist"):
        ShortlistSearch(search, shortlists(scorer), scorer)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_packed_weights_give_the_same_logits(precision):
    """Every output of a packed product depends on its own row of the weights only."""
    from s2st.models.softmax.output_layer import Output

    torch.manual_seed(0)
    config = ARCHITECTURES.get("lstm").config_type(**TINY)
    output = Output(64, 300, config)
    features = torch.randn(9, 64)
    words = torch.tensor([0, 1, 2, 3, 17, 18, 250, 299])
    output.prepare(precision)
    with torch.inference_mode():
        expected = output.project(features)[:, words]
        found = output.narrowed(words, precision)(features)
    torch.testing.assert_close(found.float(), expected.float(), rtol=1e-4, atol=1e-4)
