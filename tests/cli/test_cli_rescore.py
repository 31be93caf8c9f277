"""Tests of `s2st rescore-nbest`: features, averages, order, and lists with odd contents."""

import json

import pytest

from s2st.text.nbest_lists import read_nbest

SOURCE = ["the cat sleeps .", "the dog", "a man reads .", "a woman"]
LISTS = [
    (0, "le chat dort .", -4.0),
    (0, "le chat", -3.0),
    (0, "chat chat", -9.0),
    (2, "un homme lit .", -2.0),
    (2, "un homme lit .", -2.5),  # the same words again
]


@pytest.fixture
def files(tmp_path):
    """Source and list; sentences 1 and 3 have no hypotheses."""
    (tmp_path / "src").write_text("".join(line + "\n" for line in SOURCE))
    text = "".join(f"{i} ||| {h} ||| LM0= -1 -2 ||| {t} ||| 0-0\n" for i, h, t in LISTS)
    (tmp_path / "list").write_text(text)
    return tmp_path


@pytest.fixture
def rescore(s2st, files, world):
    def run(*options: object, models=(world.forward,), name="list"):
        named = [x for model in models for x in ("--checkpoint", model)]
        outcome = s2st(
            "rescore-nbest", files / name, "--source", files / "src", *named, "--threads", "1",
            *options,
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        return outcome

    return run


@pytest.fixture
def log_probs(s2st, files):
    """log p of every hypothesis, from `s2st score`."""

    def run(*models):
        (files / "s").write_text("".join(SOURCE[i] + "\n" for i, _, _ in LISTS))
        (files / "t").write_text("".join(h + "\n" for _, h, _ in LISTS))
        named = [x for model in models for x in ("--checkpoint", model)]
        outcome = s2st(
            "score", *named, "--source", files / "s", "--target", files / "t", "--format", "json"
        )
        return [json.loads(line)["log_prob"] for line in outcome.lines]

    return run


def best(totals):
    """1-best text by hand: the highest total of sentences 0 and 2, the first of equals."""
    first = max(range(3), key=lambda i: totals[i])
    second = max((3, 4), key=lambda i: totals[i])
    return [LISTS[first][1], "", LISTS[second][1], ""]


def test_even_average_by_hand(rescore, log_probs, world):
    totals = [
        0.5 * t + 0.5 * p for (_, _, t), p in zip(LISTS, log_probs(world.forward), strict=True)
    ]
    assert rescore().lines == best(totals)
    entries = [e for group in read_nbest(rescore("--format", "nbest").lines, "x") for e in group]
    by_text = {(e.id, e.hypothesis, dict(e.features)["Baseline"][0]): e.total for e in entries}
    for (i, words, total), expected in zip(LISTS, totals, strict=True):
        assert by_text[i, words, total] == pytest.approx(expected, rel=1e-4)


def test_an_empty_line_for_every_gap(rescore):
    lines = rescore().lines
    assert len(lines) == len(SOURCE)
    assert [bool(line) for line in lines] == [True, False, True, False]


def test_weights(rescore, log_probs, world):
    values = log_probs(world.forward)
    assert rescore("--weight", "Baseline=1").lines == ["le chat", "", "un homme lit .", ""]
    assert rescore("--weight", "S2ST0=1").lines == best(values)
    assert rescore("--weight", "S2ST0=-1").lines == best([-v for v in values])
    mixed = [0.2 * t + 3 * p for (_, _, t), p in zip(LISTS, values, strict=True)]
    options = ["--weight", "Baseline=0.2", "--weight", "S2ST0=3"]
    assert rescore(*options).lines == best(mixed)


def test_a_feature_for_each_member(rescore, log_probs, world):
    models = (world.forward, world.gru, world.reversed)
    columns = [log_probs(model) for model in models]
    outcome = rescore("--feature-per", "member", "--format", "nbest", models=models)
    groups = list(read_nbest(outcome.lines, "x"))
    found = {(e.id, e.hypothesis, dict(e.features)["Baseline"][0]): e for g in groups for e in g}
    for row, (i, words, total) in enumerate(LISTS):
        entry = found[i, words, total]
        features = dict(entry.features)
        assert list(features) == ["LM0", "Baseline", "S2ST0", "S2ST1", "S2ST2"]
        own = [features[f"S2ST{k}"][0] for k in range(3)]
        assert own == pytest.approx([column[row] for column in columns], rel=1e-4)
        assert entry.total == pytest.approx(0.5 * total + sum(own) / 6, rel=1e-4)


def test_one_feature_for_an_ensemble(rescore, log_probs, world):
    models = (world.forward, world.gru)
    groups = read_nbest(rescore("--format", "nbest", models=models).lines, "x")
    values = sorted(dict(e.features)["S2ST0"][0] for group in groups for e in group)
    assert values == pytest.approx(sorted(log_probs(*models)), rel=1e-4)


def test_lists_come_back_sorted_with_all_they_had(rescore):
    outcome = rescore("--format", "nbest")
    groups = list(read_nbest(outcome.lines, "x"))
    assert [group[0].id for group in groups] == [0, 2]
    assert sorted(e.hypothesis for g in groups for e in g) == sorted(h for _, h, _ in LISTS)
    for group in groups:
        totals = [entry.total for entry in group]
        assert totals == sorted(totals, reverse=True)
        for entry in group:
            assert entry.features[0] == ("LM0", (-1.0, -2.0))
            assert entry.extra == ("0-0",)
            assert not any("_" in name for name, _ in entry.features)
    assert rescore().lines == [groups[0][0].hypothesis, "", groups[1][0].hypothesis, ""]


def test_rescoring_twice_replaces_the_features(rescore, files):
    first = rescore("--format", "nbest")
    (files / "again").write_bytes(first.data)
    second = rescore("--format", "nbest", name="again")
    for group in read_nbest(second.lines, "x"):
        for entry in group:
            assert [name for name, _ in entry.features] == ["LM0", "Baseline", "S2ST0"]


def test_duplicates_have_equal_scores(rescore):
    groups = list(read_nbest(rescore("--format", "nbest").lines, "x"))
    one, two = (dict(entry.features)["S2ST0"] for entry in groups[1])
    assert one == two


def test_totals_that_are_no_numbers(rescore, files):
    lines = [
        "0 ||| le chat ||| ||| nan",
        "0 ||| le chat dort . ||| ||| -5",
        "1 ||| le chien ||| ||| -inf",
        "1 ||| chien ||| ||| -3",
        "2 ||| un homme ||| ||| nan",
        "2 ||| homme ||| ||| nan",
        "3 |||  ||| ||| -1",
    ]
    (files / "odd").write_text("".join(line + "\n" for line in lines))
    assert rescore(name="odd").lines == ["le chat dort .", "chien", "un homme", ""]
    groups = list(read_nbest(rescore("--format", "nbest", name="odd").lines, "x"))
    assert [len(group) for group in groups] == [2, 2, 2, 1]
    assert groups[0][0].hypothesis == "le chat dort ."


def test_rows_together_do_not_matter(rescore):
    expected = rescore("--format", "nbest").lines
    for rows in (1, 2, 3):
        found = rescore("--format", "nbest", "--max-rows", rows).lines
        for one, two in zip(read_nbest(expected, "x"), read_nbest(found, "y"), strict=True):
            assert [e.hypothesis for e in one] == [e.hypothesis for e in two]
            assert [e.total for e in one] == pytest.approx([e.total for e in two], rel=1e-5)


def test_an_empty_list(s2st, files, world):
    (files / "none").write_text("")
    arguments = ["rescore-nbest", files / "none", "--source", files / "src"]
    for options in ([], ["--format", "nbest"], ["--normalize", "list"]):
        outcome = s2st(*arguments, "--checkpoint", world.forward, *options)
        outcome.check_error(65, f"{files / 'none'}: no lists")
    # a part of the lists may well be empty
    assert s2st(*arguments, "--checkpoint", world.forward, "--shard", "1/2").code == 0


def test_from_standard_input(s2st, rescore, files, world):
    outcome = s2st(
        "rescore-nbest", "-", "--source", files / "src", "--checkpoint", world.forward,
        stdin=(files / "list").read_bytes(),
    )  # fmt: skip
    assert outcome.lines == rescore().lines
