"""Tests of `s2st rescore-nbest` where features of lists and weights do not fit each other."""

import os
import threading

import pytest

LISTS = 3


def nbest(folder, name, *features):
    """Three lists of as many hypotheses as there are texts of features."""
    lines = []
    for number in range(LISTS):
        for rank, text in enumerate(features):
            words = ["le chat dort .", "le chien dort .", "le chat"][rank]
            lines.append(f"{number} ||| {words} ||| {text} ||| -{rank}.5\n")
    (folder / name).write_text("".join(lines))
    return folder / name


@pytest.fixture
def files(tmp_path):
    (tmp_path / "src").write_text("the cat sleeps .\n" * LISTS)
    (tmp_path / "ref").write_text("le chien dort .\n" * LISTS)
    nbest(tmp_path, "test", "LM0= -1 TM0= -1 -2", "LM0= -2 TM0= -2 -1")
    return tmp_path


@pytest.fixture
def rescore(s2st, files):
    """Runs with a checkpoint that does not exist: what is wrong before it is read comes first."""

    def run(*options, name="test", model="no-checkpoint", stdin=b""):
        return s2st(
            "rescore-nbest", files / name, "--source", files / "src", "--checkpoint", model,
            "--threads", "1", *options, stdin=stdin,
        )  # fmt: skip

    return run


def development(files, name):
    path = name if name == "-" else files / name
    return ["--dev-nbest", path, "--dev-source", files / "src", "--tune", files / "ref"]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("features", "parts"),
    [
        (["LM0= -1 TM0= -1 -2 New= 1"], ["'New' has 1 value", "no such feature"]),
        (["LM0= -1"], ["no feature 'TM0'", "has 2 values"]),
        (["LM0= -1 TM0= -1"], ["'TM0' has 1 value", "has 2 values"]),
        (["LM0= -1 TM0= -1 -2 -3"], ["'TM0' has 3 values", "has 2 values"]),
        ([""], ["no feature 'LM0'", "has 1 value"]),
    ],
)
def test_other_development_features_are_an_error_before_a_model_is_read(
    rescore, files, features, parts, own
):
    nbest(files, "dev", *features)
    options = ["--baseline-features", "own"] if own else []
    outcome = rescore(*development(files, "dev"), *options)
    outcome.check_error(65, f"{files / 'dev'}, line 1: ", f"{files / 'test'}, line 1", *parts)


def test_development_lists_from_a_pipe_are_checked_too(rescore, files, world):
    nbest(files, "dev", "LM0= -1")
    data = (files / "dev").read_bytes()
    parts = ("line 1: ", "no feature 'TM0'", f"{files / 'test'}, line 1")
    rescore(*development(files, "-"), model=world.forward, stdin=data).check_error(
        65, "standard input", *parts
    )
    os.mkfifo(files / "fifo")
    writer = threading.Thread(target=(files / "fifo").write_bytes, args=(data,), daemon=True)
    writer.start()
    rescore(*development(files, "fifo"), model=world.forward).check_error(
        65, f"{files / 'fifo'}", *parts
    )
    writer.join(10)


def test_missing_and_empty_development_lists_come_before_the_models(rescore, files):
    rescore(*development(files, "missing")).check_error(66, "missing")
    (files / "none").write_text("")
    rescore(*development(files, "none")).check_error(65, f"{files / 'none'}: no lists")


@pytest.mark.parametrize("tune", [True, False])
@pytest.mark.parametrize(
    ("weights", "line", "parts"),
    [
        (["LM0= 1", "TM0= 1"], 3, ["'TM0'", "1 weight,", "2 values"]),
        (["LM0= 1", "TM0= 1 2 3"], 3, ["'TM0'", "3 weights", "2 values"]),
        (["LM0= 1 2", "TM0= 1 2"], 2, ["'LM0'", "2 weights", "1 value"]),
        (["LM0= 1", "TM1= 1 2"], 3, ["'TM1'", "no such feature"]),
    ],
)
def test_weights_files_that_do_not_fit(rescore, files, weights, line, parts, tune):
    (files / "w").write_text("".join(f"{text}\n" for text in ["[weight]", *weights]))
    options = ["--weights", files / "w", "--baseline-features", "own"]
    if tune:
        options += ["--tune", files / "ref"]
    where = (f"{files / 'w'}, line {line}: ", f"{files / 'test'}, line 1")
    rescore(*options).check_error(65, *where, *parts)
    texts = [text.replace("= ", "=").replace(" ", ",") for text in weights]
    given = [x for text in texts for x in ("--weight", text)]
    rescore(*given, *options[2:]).check_error(2, f"{files / 'test'}, line 1", *parts[1:])


def test_a_weight_that_tuning_would_drop(rescore, files):
    (files / "w").write_text("[weight]\nBaseline= 1\nLM0= 0.5\n")
    rescore("--weights", files / "w", "--tune", files / "ref").check_error(
        65, f"{files / 'w'}, line 3", "'LM0'", "--baseline-features own"
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--weight", "TM0=1,1"],
        ["--baseline-features", "own"],
        ["--baseline-features", "own", "--tune", "ref"],
        ["--weight", "TM0=1,1", "--tune", "ref", "--baseline-features", "own"],
    ],
)
def test_features_that_vary_within_the_lists_name_the_line(rescore, files, world, options):
    options = [files / x if x == "ref" else x for x in options]
    nbest(files, "varied", "LM0= -1 TM0= -1 -2", "LM0= -2 TM0= -2")
    # the third hypothesis lacks a sparse feature, which is its value 0
    nbest(files, "sparse", "LM0= -1 TM0= -1 -2 a_b= 1", "LM0= -2 TM0= -2 -1 a_b= 2",
          "LM0= -2 TM0= -4 -1")  # fmt: skip
    outcome = rescore(*options, name="varied", model=world.forward)
    outcome.check_error(
        65, f"{files / 'varied'}, line 2: ", "'TM0' has 1 value", "line 1 has 2 values"
    )
    assert rescore(*options, name="sparse", model=world.forward).code == 0


def test_features_that_nothing_weighs_may_vary(rescore, files, world):
    nbest(files, "varied", "LM0= -1 TM0= -1 -2", "LM0= -2")
    plain = rescore(model=world.forward)
    assert rescore(name="varied", model=world.forward).lines == plain.lines


def test_own_features_need_features(rescore, files):
    nbest(files, "bare", "", "")
    for options in ([], ["--tune", files / "ref"]):
        rescore("--baseline-features", "own", *options, name="bare").check_error(
            65, f"{files / 'bare'}, line 1: no features", "leave out the option"
        )


def test_features_of_an_earlier_rescoring_neither_compete_nor_stay(rescore, files, world):
    """Three models wrote three features; one model's replaces them all."""
    text = "LM0= -1 TM0= -1 -2 Baseline= -1 S2ST0= -4 S2ST1= -9 S2ST2= -1 S2STLength= 3"
    nbest(files, "again", text, text.replace("-9", "-2"))
    outcome = rescore("--format", "nbest", name="again", model=world.forward)
    assert outcome.code == 0, outcome.err
    names = [word for word in outcome.lines[0].split(" ||| ")[2].split() if word.endswith("=")]
    assert names == ["LM0=", "TM0=", "Baseline=", "S2ST0="]
    tuned = rescore(
        "--tune", files / "ref", "--weights-out", files / "w", name="again", model=world.forward
    )
    assert tuned.code == 0, tuned.err
    assert "S2ST1" not in (files / "w").read_text()


def test_what_is_left_out_is_said(rescore, files, world):
    lines = (files / "test").read_text().split("\n")[:-1]
    odd = [line.rpartition(" ||| ")[0] + " ||| nan" for line in lines]
    (files / "odd").write_text("\n".join([odd[0], lines[1], *odd[2:4], lines[4]]) + "\n")
    outcome = rescore(name="odd", model=world.forward)
    assert outcome.code == 0, outcome.err
    assert "odd: 3 hypotheses have a total that is not finite: they rank last; 1 lists have no" in (
        outcome.err
    )
    tuned = rescore("--tune", files / "ref", name="odd", model=world.forward)
    assert "odd: 3 hypotheses have a total or feature that is not finite" in tuned.err
    assert "and 1 lists that have no others" in tuned.err
    assert "finite" not in rescore("--weight", "S2ST0=1", name="odd", model=world.forward).err
    (files / "dev").write_text("\n".join(lines[:2]) + "\n")
    dev = rescore(*development(files, "dev"), model=world.forward)
    assert "dev: 2 of 3 source lines have no hypotheses; tuning leaves them out" in dev.err


def test_a_reference_of_another_length_comes_before_development_lists_are_scored(
    rescore, files, world
):
    nbest(files, "dev", "LM0= -1 TM0= -1 -2")
    (files / "short").write_text("un\n")
    outcome = rescore(*development(files, "dev"), "--oracle", files / "short", model=world.forward)
    outcome.check_error(65, f"{files / 'short'}, line 2", "1 lines")
    assert "development lists" not in outcome.err
