"""The contract of Scorer, tested on one model of each architecture and on mixed ensembles."""

import numpy as np
import pytest
import torch
from builders import (
    TINY,
    batch_for,
    describe,
    mixed_members,
    more_padding,
    source_batch,
    sources_for,
    trainable,
    variants,
)
from builders import scorer as tiny_scorer

from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.base import Scorer
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.next_words import next_words
from s2st.text.vocabulary import BOS_ID, UNK_ID


def sentences(batch):
    """The batch as lists of ids: sources and targets without EOS."""
    sources = [
        row[: length - 1].tolist()
        for row, length in zip(batch.source.tokens, batch.source.lengths.tolist(), strict=True)
    ]
    targets = [
        row[: length - 1].tolist()
        for row, length in zip(batch.target_out, batch.target_lengths.tolist(), strict=True)
    ]
    return sources, targets


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


def test_fast_score_equals_the_plain_one(scorer):
    batch = batch_for(scorer, 7)
    fast, slow = scorer.score(batch), Scorer.score(scorer, batch)
    assert fast.shape == batch.target_out.shape
    close(fast, slow)
    assert not fast[~batch.target_mask()].any()
    assert (fast[batch.target_mask()] <= 0).all()
    assert (fast < 0).any(dim=1)[batch.target_lengths > 1].all()


def test_steps_are_distributions(scorer):
    source = source_batch(sources_for(scorer))
    state = scorer.start(source)
    tokens = torch.full((len(source),), BOS_ID)
    for word in (4, 5, UNK_ID):
        result = scorer.step(tokens, state)
        assert result.log_probs.shape == (len(source), len(scorer.target.vocabulary))
        close(result.log_probs.exp().sum(1), torch.ones(len(source), dtype=torch.float64))
        tokens, state = torch.full((len(source),), word), result.state


def test_scores_are_free_of_neighbours_order_and_padding(scorer):
    batch = batch_for(scorer, 6, seed=1)
    together = scorer.score(batch)
    sources, targets = sentences(batch)
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        alone = scorer.score(make_batch([source], [target], [0]))[0]
        close(together[index, : len(target) + 1], alone)
    order = [5, 2, 0, 4, 1, 3]
    shuffled = make_batch([sources[i] for i in order], [targets[i] for i in order], order)
    close(scorer.score(shuffled), together[order])
    wide = torch.zeros((6, 2), dtype=torch.int64)
    padded = type(batch)(
        more_padding(batch.source),
        torch.cat([batch.target_in, wide], 1),
        torch.cat([batch.target_out, wide], 1),
        batch.target_lengths,
    )
    close(scorer.score(padded)[:, :-2], together)


def test_select_leaves_the_old_state_usable(scorer):
    source = source_batch(sources_for(scorer, 4))
    state = scorer.start(source)
    tokens = torch.full((4,), BOS_ID)
    before = scorer.step(tokens, state).log_probs.clone()
    rows = torch.tensor([3, 1, 1, 0, 3])
    chosen = scorer.step(tokens[:1].expand(5), state.select(rows)).log_probs
    close(chosen, before[rows])
    assert torch.equal(scorer.step(tokens, state).log_probs, before)


def stepped(scorer, spoil):
    """The log-probabilities of some steps by a caller that spoils what it gave and may write to."""
    source = source_batch(sources_for(scorer))
    state = scorer.start(source)
    if spoil:
        source.tokens.fill_(UNK_ID)
        source.lengths.fill_(1)
    tokens, found = torch.full((len(source),), BOS_ID), []
    for word in (4, 5, UNK_ID):
        result = scorer.step(tokens, state)
        found.append(result.log_probs.clone())
        rows = torch.arange(len(tokens)).flip(0)
        if spoil:
            result.log_probs.zero_()
            tokens.fill_(UNK_ID)
        tokens = torch.full_like(tokens, word)
        state = result.state.select(rows)
        if spoil:
            rows.zero_()
    return torch.stack(found)


@pytest.mark.parametrize("inference", [False, True])
def test_a_caller_may_write_into_its_own_tensors(scorer, inference):
    """What it gave: ids and rows; and log-probabilities, outside of inference mode too."""
    with torch.inference_mode(inference):
        close(stepped(scorer, True), stepped(scorer, False))


@pytest.mark.parametrize("mode", ["probability", "log-probability"])
@pytest.mark.parametrize("name", trainable())
def test_an_ensemble_of_one_model_is_that_model(name, mode):
    config = variants(name)[-1]
    member = tiny_scorer(name, config)
    batch = batch_for(member)
    expected = member.score(batch)
    twin = tiny_scorer(name, config)
    for ensemble in (
        EnsembleScorer([member], mode=mode),
        EnsembleScorer([member, twin], mode=mode),
        EnsembleScorer([member, twin], [0.2, 7.0], mode),
        EnsembleScorer([EnsembleScorer([member, twin], mode=mode), twin], mode=mode),
    ):
        close(ensemble.score(batch), expected)
        close(Scorer.score(ensemble, batch), expected)


@pytest.mark.parametrize("weights", [(), (3.0, 0.5, 1.0)])
@pytest.mark.parametrize("mode", ["probability", "log-probability"])
def test_a_mixed_ensemble_is_the_mean_of_its_members_by_word(mode, weights):
    """Against numbers put together by word strings, one member at a time, in numpy."""
    members = mixed_members()
    ensemble = EnsembleScorer(members, weights, mode)
    words = ["a", "q", "f", "b", "z"]
    prefix = ["y", "v", "<unk>"]
    logs = []
    for member in members:
        state = member.start(source_batch([member.source.vocabulary.encode(words)]))
        tokens = [BOS_ID, *member.target.vocabulary.encode(prefix)]
        for token in tokens:
            result = member.step(torch.tensor([token]), state)
            state = result.state
        names = member.target.vocabulary.tokens
        logs.append(dict(zip(names, result.log_probs[0].tolist(), strict=True)))
    share = np.array(weights or (1, 1, 1), dtype=float)
    share /= share.sum()
    names = ensemble.target.vocabulary.tokens
    table = np.array([[log[name] for name in names] for log in logs])
    if mode == "probability":
        expected = np.log(share @ np.exp(table))
    else:
        mean = share @ table
        expected = mean - np.log(np.exp(mean).sum())
    state = ensemble.start(source_batch([ensemble.source.vocabulary.encode(words)]))
    for token in [BOS_ID, *ensemble.target.vocabulary.encode(prefix)]:
        result = ensemble.step(torch.tensor([token]), state)
        state = result.state
    np.testing.assert_allclose(result.log_probs[0].numpy(), expected, rtol=0, atol=1e-10)


def test_an_ensembles_source_words_are_all_its_members_words():
    members = mixed_members()
    ensemble = EnsembleScorer(members)
    assert set(ensemble.source.vocabulary.tokens[4:]) == set("abcdef") | set("bzaq")
    assert ensemble.target.vocabulary == members[0].target.vocabulary


def test_members_that_do_not_fit_are_refused():
    members = mixed_members()
    lstm = ARCHITECTURES.get("lstm").config_type(**TINY)
    stranger = tiny_scorer("lstm", lstm, target_words="v w x z")
    with pytest.raises(UsageError, match="2 words are not in all of them, such as 'y'"):
        EnsembleScorer([members[0], stranger])
    with pytest.raises(UsageError, match="2 ensemble weights for 3"):
        EnsembleScorer(members, [1.0, 1.0])
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="positive"):
            EnsembleScorer(members, [1.0, bad, 1.0])
    with pytest.raises(UsageError, match="at least one"):
        EnsembleScorer([])


def test_every_variant_has_a_name_of_its_own():
    names = [describe(name, config) for name in trainable() for config in variants(name)]
    assert len(names) == len(set(names))
    assert {"lstm", "gru", "rnn", "lstm-forward", "lstm-reversed"} <= set(trainable())


def test_next_words_are_those_that_score_gives(scorer):
    """After a prefix of two words, all words have the probability that `score` gives them there."""
    (source,) = sources_for(scorer)[:1]
    words = scorer.target.vocabulary.tokens
    line = " ".join(scorer.source.words(source))
    prefix = words[5:7]
    if scorer.target.right_to_left:
        with pytest.raises(UsageError, match="last word first"):
            next(next_words(scorer, [line], " ".join(prefix), 3))
        return
    (found,) = next_words(scorer, [line], " ".join(prefix), len(words))
    ids = range(5, len(words))
    batch = make_batch([source] * len(ids), [[5, 6, i] for i in ids], range(len(ids)))
    expected = scorer.score(batch)[:, 2].tolist()
    rows = dict(zip(found.words, found.log_probs, strict=True))
    assert found.prefix == prefix
    assert list(found.log_probs) == sorted(found.log_probs, reverse=True)
    for i, value in zip(ids, expected, strict=True):
        assert rows.get(words[i], -np.inf) == pytest.approx(value, abs=1e-9)
