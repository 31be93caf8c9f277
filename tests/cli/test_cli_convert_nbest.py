"""Tests of `s2st convert-nbest`, and of rescoring lists of other programs."""

import gzip
import json
import math

import pytest

WORDS = ["a dog runs", "the dog runs", "a dog"]
OLD = [f"{i} ||| {w}  ||| d: 0 -{k} lm: -{i}.5 w: -3 ||| -{k}.25" for i in (0, 1) for k, w in
       enumerate(WORDS)]  # fmt: skip
CDEC = [f"{i} ||| {w} ||| lm_0=-{k}.5 Glue={k} ||| -{k}.333333333" for i in (0, 1) for k, w in
        enumerate(WORDS)] + ["1 ||| the cat ||| lm_0=-2 x_1=3 ||| -9"]  # fmt: skip
MARIAN = [f"{i} ||| {w} ||| 0-0 ||| F0= -{k}.5 ||| -{k}" for i in (0, 1) for k, w in
          enumerate(WORDS)]  # fmt: skip
FAIRSEQ = [
    f"{tag}-{i}\t{text}" for i in (0, 1) for k, w in enumerate(WORDS)
    for tag, text in (("H", f"-0.{k}37581639287\t{w}"), ("D", "-1\tx"), ("P", f"-{k}.1234 -1"))
]  # fmt: skip
SOCKEYE = [
    json.dumps({"sentence_id": i, "translations": WORDS, "scores": [0.1, 1.00000001, 2.5]})
    for i in (1, 2)
]
OURS = [
    json.dumps({"line": i, "hypotheses": [
        {"text": w, "score": -k / 3, "log_prob": -k / 7} for k, w in enumerate(WORDS)
    ]}) for i in (0, 1)
]  # fmt: skip
BARE = [f"{i} ||| {w} ||| -{k}.123456789" for i in (0, 1) for k, w in enumerate(WORDS)]
LISTS = {
    "moses-old": OLD, "cdec": CDEC, "marian": MARIAN, "fairseq": FAIRSEQ, "sockeye": SOCKEYE,
    "s2st": OURS, "bare": BARE,
}  # fmt: skip


CONSENSUS = ("--consensus", "bleu", "--weight", "Baseline=0.5", "--weight", "S2STConsensus=3")


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("name", LISTS)
def test_converted_lists_rescore_to_the_same_bytes(s2st, tmp_path, name):
    """Without a model, by the consensus; and the lists themselves, re-sorted."""
    original = write(tmp_path / "original", LISTS[name])
    outcome = s2st("convert-nbest", original, "-o", tmp_path / "converted")
    assert outcome.code == 0
    assert f"format {name}" in outcome.err
    source = write(tmp_path / "source", ["un chien court", "un chien"])
    results = []
    for lists in (original, tmp_path / "converted"):
        options = ("--source", source, *CONSENSUS)
        results.append(
            [
                s2st("rescore-nbest", lists, *options, "--format", form).out
                for form in ("1best", "nbest")
            ]
        )
    assert results[0] == results[1]
    assert results[0][0].count("\n") == 2


@pytest.mark.parametrize("name", ["moses-old", "cdec"])
def test_own_features_of_other_formats_are_tuned(s2st, tmp_path, name):
    original = write(tmp_path / "original", LISTS[name])
    s2st("convert-nbest", original, "-o", tmp_path / "converted")
    source = write(tmp_path / "source", ["un chien court", "un chien"])
    reference = write(tmp_path / "reference", ["the dog runs fast", "the dog runs fast"])
    weights = tmp_path / "weights"
    options = ("--source", source, "--consensus", "bleu", "--baseline-features", "own", "--tune",
               reference, "--folds", 2, "--weights-out", weights)  # fmt: skip
    results = []
    for path in (original, tmp_path / "converted"):
        outcome = s2st("rescore-nbest", path, *options)
        assert outcome.code == 0
        results.append((outcome.out, weights.read_text()))
    assert results[0] == results[1]
    assert ("lm= " if name == "moses-old" else "lm-0= ") in results[0][1]


def test_fairseq_is_sorted_and_parts_are_joined(s2st, tmp_path):
    one = write(tmp_path / "one", ["H-3\t-1\td", "H-0\t-2\ta", "H-0\t-3\tb"])
    two = write(tmp_path / "two", ["H-2\t-1\tc"])
    outcome = s2st("convert-nbest", one, two)
    nat = math.log(2)
    assert outcome.lines == [
        f"0 ||| a |||  ||| {-2 * nat!r}", f"0 ||| b |||  ||| {-3 * nat!r}",
        f"2 ||| c |||  ||| {-nat!r}", f"3 ||| d |||  ||| {-nat!r}",
    ]  # fmt: skip
    s2st("convert-nbest", one, one).check_error(65, "list 3 is in")


def test_compressed_input_and_output(s2st, tmp_path):
    (tmp_path / "in.gz").write_bytes(gzip.compress("\n".join(OLD).encode()))
    assert s2st("convert-nbest", tmp_path / "in.gz", "-o", tmp_path / "out.gz").code == 0
    lines = gzip.decompress((tmp_path / "out.gz").read_bytes()).decode().splitlines()
    assert lines == s2st("convert-nbest", write(tmp_path / "in", OLD)).lines
    assert lines[1] == "0 ||| the dog runs ||| d= 0 -1 lm= -0.5 w= -3 ||| -1.25"


def test_files_of_other_formats_in_order(s2st, tmp_path):
    first = write(tmp_path / "first", ["0 ||| a ||| d: 1 ||| 1"])
    second = write(tmp_path / "second", ["1 ||| b ||| x=1 ||| 1"])
    assert s2st("convert-nbest", first, second).lines == [
        "0 ||| a ||| d= 1 ||| 1", "1 ||| b ||| x= 1 ||| 1",
    ]  # fmt: skip
    message = "first, line 1: id 0 after id 1 of"
    s2st("convert-nbest", second, first, "-o", tmp_path / "out").check_error(65, message)
    s2st("convert-nbest", first, first, "-o", tmp_path / "out").check_error(65, "list 0 is in")


def test_an_error_leaves_the_old_output(s2st, tmp_path):
    mixed = write(tmp_path / "mixed", [OLD[0], CDEC[0]])
    output = write(tmp_path / "out", ["old"])
    s2st("convert-nbest", mixed, "-o", output).check_error(
        65, "mixed, line 2: ", "read as moses-old", "looks like cdec"
    )
    assert output.read_text() == "old\n"
    s2st("convert-nbest", mixed, "-o", mixed).check_error(2, "mixed")
    s2st("convert-nbest", write(tmp_path / "none", [])).check_error(65, "no lists")


def test_a_forced_format(s2st, tmp_path):
    lists = write(tmp_path / "lists", ["0 ||| a ||| x=1 ||| 1"])
    s2st("convert-nbest", "--nbest-format", "moses", lists).check_error(65, "--nbest-format")
    source = write(tmp_path / "source", ["un chien"])
    words = ("rescore-nbest", lists, "--source", source, *CONSENSUS)
    assert s2st(*words).lines == ["a"]
    s2st(*words, "--nbest-format", "moses").check_error(65, "--nbest-format", "looks like cdec")


def test_a_log_is_no_list(s2st, tmp_path):
    """A file of the log of fairseq only, as `fairseq-generate --quiet` writes."""
    log = write(tmp_path / "log", ["| [de] dictionary: 8848 types"])
    s2st("convert-nbest", log).check_error(65, "no lists")


@pytest.mark.parametrize("name", ["cdec", "sockeye"])
def test_converted_lists_score_alike_under_a_model(s2st, world, tmp_path, name):
    original = write(tmp_path / "original", LISTS[name])
    s2st("convert-nbest", original, "-o", tmp_path / "converted")
    results = []
    for lists in (original, tmp_path / "converted"):
        outcome = s2st(
            "rescore-nbest", lists, "--source", world.source, "--checkpoint", world.forward,
            "--format", "nbest",
        )  # fmt: skip
        assert outcome.code == 0
        results.append(outcome.out)
    assert results[0] == results[1]
    assert " S2ST0= " in results[0]
