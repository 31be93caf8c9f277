"""Features of n-best lists: what must agree between lists, what may differ, and the errors."""

import itertools
import os
from pathlib import Path

import pytest

from s2st.errors import DataError, UsageError
from s2st.rescoring.feature_checks import FeatureGuard, FeatureRules
from s2st.rescoring.feature_weights import Weights, parse_weights, read_weights
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import read_nbest

SHARED = Path(os.environ.get("S2ST_SHARED", Path(__file__).parents[4] / "shared")) / "data"
REAL = SHARED / "smt-multi30k"
NAMES = ("S2ST0",)
MOSES = "LexicalReordering0= -1 -2 Distortion0= 0 LM0= -3 TranslationModel0= -1 -2 -3 -4"


def lists(*features, start=0):
    lines = [f"{start + i} ||| un mot ||| {text} ||| -1" for i, text in enumerate(features)]
    return list(read_nbest(lines, "x"))


def guard(test=MOSES, given=None, path="test.nbest", **rules):
    first = lists(test)[0] if test is not None else []
    return FeatureGuard(FeatureRules(NAMES, **rules), given, first, path)


def weights_file(folder, *lines):
    path = folder / "w.ini"
    path.write_text("".join(f"{line}\n" for line in ("# of another run", "[weight]", *lines)))
    return read_weights(str(path))


def run(checks, features, path="dev.nbest"):
    return list(checks.watch(lists(*features), path))


@pytest.mark.parametrize(
    "rules", [{}, {"own_features": True}, {"own_features": True, "tunes": True}]
)
@pytest.mark.parametrize(
    ("dev", "part"),
    [
        ("Distortion0= 0 LM0= -3 TranslationModel0= -1 -2 -3 -4",
         "no feature 'LexicalReordering0', which has 2 values in test.nbest, line 1"),
        (MOSES.replace("LM0", "LM1"),
         "feature 'LM1' has 1 value, but test.nbest, line 1 has no such feature"),
        (MOSES + " LM1= 4",
         "feature 'LM1' has 1 value, but test.nbest, line 1 has no such feature"),
        (MOSES.replace(" -4", ""),
         "feature 'TranslationModel0' has 3 values, but test.nbest, line 1 has 4 values"),
        (MOSES + " -5",
         "feature 'TranslationModel0' has 5 values, but test.nbest, line 1 has 4 values"),
        ("", "no feature 'LexicalReordering0'"),
    ],
)  # fmt: skip
def test_development_lists_of_another_system_are_refused(dev, part, rules):
    """Even where only the total competes: it is the sum of other features."""
    with pytest.raises(DataError) as caught:
        run(guard(**rules), [dev])
    assert str(caught.value).startswith("dev.nbest, line 1: ")
    assert part in str(caught.value)
    assert "same system" in str(caught.value)


def test_the_order_of_features_and_sparse_ones_may_differ():
    dev = "TranslationModel0= -1 -2 -3 -4 Distortion0= 0 dlm_a= 1 LM0= -3 LexicalReordering0= -1 -2"
    for rules in ({}, {"own_features": True, "tunes": True}):
        run(guard(MOSES + " dlm_b= 1", **rules), [dev, dev + " dlm_c= 2"])


def test_scores_of_an_earlier_rescoring_are_made_anew_or_have_to_agree():
    dev = MOSES + " Baseline= -1 S2ST0= -4 S2ST1= -5"
    run(guard(), [dev])
    run(guard(dev, scored=True), [dev])
    with pytest.raises(DataError, match="feature 'S2ST1' has 1 value"):
        run(guard(MOSES + " Baseline= -1 S2ST0= -4", scored=True), [dev])
    # a number of words is never taken from lists
    run(guard(MOSES + " Baseline= -1 S2ST0= -4 S2STLength= 3", scored=True),
        [MOSES + " Baseline= -1 S2ST0= -4"])  # fmt: skip


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("LM0= 1 2", "feature 'LM0': 2 weights, but it has 1 value in test.nbest, line 1"),
        ("TranslationModel0= 1", "1 weight, but it has 4 values in test.nbest, line 1"),
        ("TranslationModel0= 1 2 3 4 5", "5 weights, but it has 4 values"),
        ("TranslationModel0= 0 0 0 0 0", "5 weights, but it has 4 values"),
        ("LM0=", "0 weights, but it has 1 value"),
        ("LM1= 1", "no such feature in test.nbest, line 1; there are Baseline, LexicalReordering0"),
        ("S2ST1= 1", "no such feature"),
        ("S2STLength= 1", "this feature needs --length-feature"),
        ("Baseline= 1 1", "2 weights, but it has 1 value"),
        ("S2ST0= 1 1", "2 weights, but it has 1 value"),
    ],
)
def test_weights_that_do_not_fit_name_file_line_feature_and_both_counts(tmp_path, line, part):
    given = weights_file(tmp_path, "Distortion0= 1", line)
    with pytest.raises(DataError) as caught:
        guard(given=given)
    assert str(caught.value).startswith(f"{tmp_path / 'w.ini'}, line 4: ")
    assert part in str(caught.value)
    name, _, values = line.partition("= ")
    if values:
        with pytest.raises(UsageError, match=f"--weight {name}: ") as caught:
            guard(given=parse_weights([f"{name}={values.replace(' ', ',')}"]))
        assert part.removeprefix(f"feature '{name}': ") in str(caught.value)


def test_weights_that_change_nothing_are_no_error(tmp_path):
    """Zeros, sparse features, and the penalty that Moses never writes into lists."""
    checks = guard(given=weights_file(
        tmp_path, "LM0= 1", "LM7= 0", "S2ST4= 0", "UnknownWordPenalty0= 1", "dlm_a= 2",
        "S2STLength= 0",
    ))  # fmt: skip
    assert len(run(checks, [MOSES, MOSES + " dlm_a= 1"], "test.nbest")) == 2
    with pytest.raises(UsageError, match="UnknownWordPenalty0: no such feature"):
        guard(given=parse_weights(["UnknownWordPenalty0=1"]))


def test_a_name_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--weight LM0 is given twice"):
        parse_weights(["LM0=1", "S2ST0=1", "LM0=1"])
    with pytest.raises(DataError, match=r"line 5: .*'LM0' has weights twice; first in line 3"):
        weights_file(tmp_path, "LM0= 1", "S2ST0= 1", "LM0= 1")


@pytest.mark.parametrize(
    ("given", "own_features", "part"),
    [
        (
            ["LM0=1"],
            False,
            "--weight LM0: --tune does not tune this feature; use --baseline-features own",
        ),
        (
            ["Baseline=1"],
            True,
            "--weight Baseline: --tune does not tune this feature; use --baseline-features t",
        ),
    ],
)
def test_tuning_does_not_drop_a_starting_weight(given, own_features, part):
    with pytest.raises(UsageError) as caught:
        guard(given=parse_weights(given), own_features=own_features, tunes=True)
    assert part in str(caught.value)
    guard(given=parse_weights(given), own_features=own_features)
    guard(
        given=parse_weights([given[0].replace("=1", "=0")]), own_features=own_features, tunes=True
    )


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        (None, {"own_features": True}),
        (None, {"own_features": True, "tunes": True}),
        (["LM0=1", "TranslationModel0=1,1,1,1", "dlm_a=3"], {}),
        (["LM0=1", "TranslationModel0=1,1,1,1", "dlm_a=3"], {"own_features": True, "tunes": True}),
    ],
)
def test_a_hypothesis_without_a_weighed_feature_is_named_by_its_line(given, rules):
    weights = None if given is None else parse_weights(given)
    for wrong, part in (
        (MOSES.replace("LM0= -3", ""), "no feature 'LM0', which has 1 value in test.nbest, line 1"),
        (MOSES.replace(" -4", ""), "feature 'TranslationModel0' has 3 values, but test.nbest, lin"),
        (MOSES + " LM0= -3", "feature 'LM0' appears twice"),
        (MOSES + " dlm_a= 1 2", "feature 'dlm_a' has 2 values"),
    ):
        checks = guard(given=weights, **rules)
        fitting = [MOSES, MOSES + " dlm_a= 2", MOSES]
        run(checks, fitting, "test.nbest")
        with pytest.raises(DataError) as caught:
            run(checks, [*fitting, wrong], "test.nbest")
        assert str(caught.value).startswith("test.nbest, line 4: ")
        assert part in str(caught.value)


def test_features_that_nothing_weighs_may_vary():
    run(guard(), [MOSES, "LM0= 1 2", "", MOSES + " LM0= 2"], "test.nbest")
    run(guard(given=parse_weights(["LM0=1", "Baseline=1"])), [MOSES, "LM0= 1", "LM0= 3 Z= 1 2"],
        "test.nbest")  # fmt: skip


def test_own_features_have_to_exist():
    with pytest.raises(DataError, match=r"test\.nbest, line 1: no features"):
        guard("", own_features=True)
    guard("", own_features=False)
    guard("", given=Weights({"S2ST0": (1.0,)}), own_features=True)
    with pytest.raises(DataError, match="feature 'New' has 1 value"):
        run(guard(own_features=True), [MOSES, MOSES + " New= 1"], "test.nbest")


def test_a_shard_without_lists_checks_the_names_it_knows():
    with pytest.raises(UsageError, match="S2ST3"):
        guard(None, given=parse_weights(["S2ST3=1"]))
    run(guard(None, given=parse_weights(["LM0=1", "S2ST0=1"])), [])


def test_names_reach_messages_escaped_and_short():
    with pytest.raises(DataError) as caught:
        run(guard(own_features=True), [MOSES + f" \x1b[31m{'x' * 90}= 1"])
    assert "\x1b" not in str(caught.value)
    assert "x" * 50 not in str(caught.value)


@pytest.mark.skipif(not REAL.exists(), reason="the real lists are not here")
def test_real_moses_lists_fit_each_other_and_weights_of_their_counts():
    """The counts that their README gives: 6, 1, 1, 1, 1 and 4."""
    test, dev = (str(REAL / f"{name}.1000best.gz") for name in ("test_2016_flickr", "val"))

    def some(path):
        return list(itertools.islice(read_nbest(read_lines(path), path), 3))

    counts = {
        "LexicalReordering0": 6, "Distortion0": 1, "LM0": 1, "WordPenalty0": 1,
        "PhrasePenalty0": 1, "TranslationModel0": 4,
    }  # fmt: skip
    given = Weights({name: (0.1,) * count for name, count in counts.items()})
    for rules in (FeatureRules(NAMES), FeatureRules(NAMES, own_features=True, tunes=True)):
        for weights in (None, given) if rules.own_features else (None,):
            checks = FeatureGuard(rules, weights, some(test)[0], test)
            assert len(list(checks.watch(some(dev), dev))) == 3
    layout = FeatureRules(NAMES).layout(some(dev)[0][0], dev)
    assert dict(layout.counts) == {"Baseline": 1, **counts, "S2ST0": 1}
    for name, count in counts.items():
        wrong = Weights({**given.values, name: (0.1,) * (count + 1)})
        with pytest.raises(UsageError, match=f"{name}: {count + 1} weights, but it has {count} "):
            FeatureGuard(FeatureRules(NAMES), wrong, some(test)[0], test)
