"""Tests of the lags between corresponding words, by hand and by counting steps."""

import itertools

import pytest

from s2st.analysis.time_lags import link_lags, reading_step, summarize, time_lag


def words(count):
    return [range(i, i + 1) for i in range(count)]


def steps(source, target, reads_reversed):
    """The step that reads each source word, and the one that predicts each target word."""
    read = [*(source[::-1] if reads_reversed else source), "</s>", "<s>", *target]
    predicted = {word: step for step, word in enumerate(target, start=len(source) + 2)}
    return {word: step for step, word in enumerate(read, start=1) if word in source}, predicted


@pytest.mark.parametrize("reads_reversed", [False, True])
@pytest.mark.parametrize(("source", "target"), [*itertools.product((1, 2, 5), (1, 3, 4))])
def test_a_lag_is_the_number_of_steps_between_both(source, target, reads_reversed):
    sides = [f"s{i}" for i in range(source)], [f"t{j}" for j in range(target)]
    read, predicted = steps(*sides, reads_reversed)
    for i, j in itertools.product(range(source), range(target)):
        expected = predicted[f"t{j}"] - read[f"s{i}"]
        assert time_lag(i, source, j, reads_reversed) == expected
        assert reading_step(i, source, reads_reversed) == read[f"s{i}"]
    assert reading_step(source, source, reads_reversed) == source + 1  # </s> comes last


def test_reversal_shortens_the_minimal_lag_and_keeps_the_mean_as_the_paper_says():
    """Words of a monotone alignment: I + 1 steps forward; 2, 4, ..., 2 I steps reversed."""
    links = tuple((i, i) for i in range(6))
    forward = link_lags(links, (words(6), words(6)), False)
    backward = link_lags(links, (words(6), words(6)), True)
    assert forward == [7] * 6
    assert backward == [2, 4, 6, 8, 10, 12]
    found = summarize("forward", [forward, []]), summarize("reversed", [backward, []])
    assert [one.mean for one in found] == [7, 7]
    assert [one.minimal for one in found] == [7, 2]
    assert [one.smallest for one in found] == [7, 2]
    assert [(one.sentences, one.links) for one in found] == [(1, 6), (1, 6)]
    assert found[0].counts == ((7, 6),)


def test_means_weigh_sentences_equally():
    found = summarize("forward", [[4], [2, 6, 10]])
    assert (found.minimal, found.mean, found.links) == (3, 5, 4)
    assert found.counts == ((2, 1), (4, 1), (6, 1), (10, 1))


def test_a_target_from_right_to_left_is_counted_in_its_own_order():
    links = ((0, 2), (2, 0))
    spans = words(3), words(3)
    assert link_lags(links, spans, False, right_to_left=True) == [
        time_lag(0, 3, 0, False), time_lag(2, 3, 2, False)
    ]  # fmt: skip


def test_words_of_several_tokens_count_from_the_nearest_tokens():
    # source a|bc with tokens 0 and 1-2; target de|f with tokens 0-1 and 2
    spans = [range(1), range(1, 3)], [range(2), range(2, 3)]
    assert link_lags(((1, 0),), spans, False) == [time_lag(2, 3, 0, False)]
    assert link_lags(((1, 0),), spans, True) == [time_lag(1, 3, 0, True)]
