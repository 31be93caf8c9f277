"""Merged lists of several systems: written out by hand, and properties of the same list twice."""

import math

import numpy as np
import pytest

from s2st.errors import DataError
from s2st.rescoring.earlier_totals import restored_totals
from s2st.rescoring.feature_weights import competes
from s2st.rescoring.merged_lists import merge_lists
from s2st.text.nbest_lists import read_nbest


def lists(*lines):
    return read_nbest(lines, "x")


def merged(*files, use_scores=False, heads=None):
    streams = [lists(*lines) for lines in files]
    names = [f"{chr(97 + i)}.nbest" for i in range(len(files))]
    return list(merge_lists(streams, names, use_scores, heads))


A = [
    "0 ||| un chat ||| LM0= -1 TM0= -1 -2 ||| -3 ||| 0-0",
    "0 ||| le chat ||| LM0= -2 TM0= -3 -4 ||| -5",
]
B = ["0 ||| le chat ||| LM0= -7 dlm_x= 1 ||| -0.1", "0 ||| des chats ||| LM0= -9 ||| -0.3",
     "1 ||| oui ||| LM0= -4 ||| -1"]  # fmt: skip


def test_by_hand():
    first, second = merged(A, B)
    assert [e.hypothesis for e in first] == ["un chat", "le chat", "des chats"]
    assert [e.id for e in (*first, *second)] == [0, 0, 0, 1]
    assert first[0].extra == ("0-0",)
    found = [dict(e.features) for e in first]
    assert found[0] == {
        "System0LM0": (-1.0,), "System0TM0": (-1.0, -2.0), "System0Total": (-3.0,),
        "System0Has": (1.0,),
        # the floor: the hypothesis of the lowest total
        "System1LM0": (-9.0,), "System1Total": (-0.3,), "System1Has": (0.0,),
    }  # fmt: skip
    assert found[1]["System0LM0"] == (-2.0,)
    assert found[1]["System1LM0"] == (-7.0,)
    assert found[1]["System1dlm_x"] == (1.0,)
    assert found[1]["System0Has"] == found[1]["System1Has"] == (1.0,)
    assert found[2]["System0TM0"] == (-3.0, -4.0)
    assert found[2]["System0Total"] == (-5.0,)
    # system 0 has no list for line 1: zeros of its features
    assert dict(second[0].features) == {
        "System0LM0": (0.0,), "System0TM0": (0.0, 0.0), "System0Total": (0.0,),
        "System0Has": (0.0,), "System1LM0": (-4.0,), "System1Total": (-1.0,),
        "System1Has": (1.0,),
    }  # fmt: skip
    columns = np.array([[-3, -5, -5], [-0.3, -0.1, -0.3]])
    scaled = (columns - columns.mean(axis=1, keepdims=True)) / columns.std(axis=1, keepdims=True)
    assert [e.total for e in first] == pytest.approx(scaled.mean(axis=0).tolist())


def test_one_system_is_passed_on_as_it_is():
    assert merged(A) == list(lists(*A))


def test_the_same_list_twice_ranks_as_once():
    rng = np.random.default_rng(1)
    rows = [f"{i} ||| w{j} ||| A= {rng.normal():.3f} ||| {rng.normal():.4f}"
            for i in range(4) for j in range(6)]  # fmt: skip
    for once, twice in zip(lists(*rows), merged(rows, rows), strict=True):
        assert [e.hypothesis for e in twice] == [e.hypothesis for e in once]
        own = [e.total for e in once]
        both = [e.total for e in twice]
        assert np.array_equal(np.argsort(own), np.argsort(both))
        # the total is a linear function of the system's
        assert np.ptp(np.polyval(np.polyfit(own, both, 1), own) - both) < 1e-9


def test_equal_hypotheses_of_a_system_keep_the_highest_total():
    rows = ["0 ||| a ||| X= 1 ||| -2", "0 ||| a ||| X= 2 ||| -1", "0 ||| a ||| X= 3 ||| -3"]
    (found,) = merged(rows, rows[:1])
    assert len(found) == 1
    assert dict(found[0].features)["System0X"] == (2.0,)


def test_scores_of_an_earlier_rescoring_are_kept_once():
    rows = ["0 ||| a ||| X= 1 Baseline= -1 S2ST0= -4 S2STLength= 1 ||| -9",
            "0 ||| b ||| X= 2 Baseline= -3 S2ST0= -5 S2STLength= 1 ||| -8"]  # fmt: skip
    other = ["0 ||| c ||| X= 1 Baseline= -2 S2ST0= -6 S2STLength= 1 ||| -7"]
    (found,) = merged(rows, other, use_scores=True)
    features = [dict(e.features) for e in found]
    assert [f["S2ST0"] for f in features] == [(-4.0,), (-5.0,), (-6.0,)]
    assert not any({"S2STLength", "System0S2ST0", "Baseline"} & f.keys() for f in features)
    assert "S2ST0" not in dict(merged(rows, other)[0][0].features)
    # of two files, only one of which has scores, no scores are kept
    assert "S2ST0" not in dict(merged(rows, A, use_scores=True)[0][0].features)


RESCORED = ["0 ||| a ||| X= 1 Baseline= -1 ||| -9", "0 ||| b ||| X= 2 Baseline= -3 ||| -8",
            "1 ||| a ||| X= 2 Baseline= -4 ||| -7"]  # fmt: skip


def test_rescored_lists_have_the_totals_of_the_baseline():
    found = list(restored_totals(lists(*RESCORED), "x"))
    assert [[e.total for e in own] for own in found] == [[-1.0, -3.0], [-4.0]]
    assert list(restored_totals(lists(*A), "x")) == list(lists(*A))


@pytest.mark.parametrize(
    ("lines", "number", "part"),
    [
        ([RESCORED[0], "0 ||| b ||| X= 2 ||| -8"], 2, "no feature Baseline"),
        ([RESCORED[0], "1 ||| b ||| X= 2 ||| -8"], 2, "no feature Baseline"),
        (["0 ||| b ||| X= 2 ||| -8", RESCORED[2]], 2, "feature Baseline, which the first"),
        (["0 ||| b ||| Baseline= 2 Baseline= 1 ||| -8"], 1, "twice"),
        (["0 ||| b ||| Baseline= 2 1 ||| -8"], 1, "2 values"),
    ],
)
def test_lists_of_two_kinds_are_refused(lines, number, part):
    with pytest.raises(DataError, match=f"x, line {number}: .*{part}"):
        list(restored_totals(lists(*lines), "x"))


def test_a_total_that_is_not_finite_is_no_floor_and_ranks_last():
    rows = ["0 ||| a ||| X= 1 ||| nan", "0 ||| b ||| X= 2 ||| -3", "0 ||| c ||| X= 3 ||| -1"]
    (found,) = merged(rows, ["0 ||| d ||| X= 1 ||| 0"])
    assert dict(found[3].features)["System0X"] == (2.0,)
    assert not math.isfinite(found[0].total)


def test_a_part_of_a_file_without_lists_has_its_features():
    head = next(lists(*B))[0]
    (found,) = merge_lists([lists(*A), lists()], ["a", "b"], False, [next(lists(*A))[0], head])
    assert dict(found[0].features)["System1LM0"] == (0.0,)


@pytest.mark.parametrize(
    ("files", "place", "part"),
    [
        ((A, []), "b.nbest", "no lists"),
        ((A, [B[0], "0 ||| x ||| LM0= 1 2 ||| 1"]), "b.nbest, line 2", "'LM0' has 2 values, but 1"),
        ((A, [B[0], "0 ||| x ||| LM1= 1 ||| 1"]), "b.nbest, line 2", "'LM1' has 1 values, but 0"),
    ],
)
def test_errors_name_file_and_line(files, place, part):
    with pytest.raises(DataError) as caught:
        merged(*files)
    assert str(caught.value).startswith(place)
    assert part in str(caught.value)


def test_which_features_tuning_weighs():
    for name, total, own in (
        ("Baseline", True, False), ("System0Total", True, False), ("System12LM0", False, True),
        ("System0Has", True, True), ("S2ST0", True, True), ("LM0", False, True),
    ):  # fmt: skip
        assert competes(name, own_features=False) == total, name
        assert competes(name, own_features=True) == own, name
