"""`s2st score --next`: the most probable next words after a prefix."""

import json
import math

import numpy as np
import pytest

import s2st as library

LINES = ["the boy is spreading fire", "the boy is spreading insults", "a boy is spreading insults"]


@pytest.fixture(scope="module")
def arpa(s2st, tmp_path_factory):
    """Counts without smoothing, so that probabilities are known by hand."""
    folder = tmp_path_factory.mktemp("next")
    (folder / "text").write_text("".join(f"{line}\n" for line in LINES))
    words = ("-o", folder / "m.arpa", "--order", 4, "--smoothing", "none")
    assert s2st("train-ngram", folder / "text", *words).code == 0
    return folder / "m.arpa"


def test_the_table_of_counts(s2st, arpa):
    command = ("score", "--checkpoint", arpa, "--next", "boy is spreading")
    outcome = s2st(*command)
    assert outcome.code == 0, outcome.err
    # words that never follow are no rows
    assert outcome.lines == ["0.666667\t-0.405465\tinsults", "0.333333\t-1.098612\tfire"]
    assert s2st(*command, "--next-words", 1).lines == outcome.lines[:1]
    (record,) = map(json.loads, s2st(*command, "--format", "json").lines)
    assert record["prefix"] == ["boy", "is", "spreading"]
    assert [row["token"] for row in record["next"]] == ["insults", "fire"]
    assert record["next"][0]["probability"] == pytest.approx(2 / 3)
    begin = s2st("score", "--checkpoint", arpa, "--next", " ")
    assert begin.lines == ["0.666667\t-0.405465\tthe", "0.333333\t-1.098612\ta"]
    end = s2st("score", "--checkpoint", arpa, "--next", "a boy is spreading insults")
    assert end.lines[0].split("\t")[2] == "</s>"
    assert "does not know girl" in s2st("score", "--checkpoint", arpa, "--next", "the girl").err
    found = library.load(arpa).next_words("boy is spreading")
    assert found.tokens == ("insults", "fire")
    assert np.exp(found.log_probs) == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("members", [["forward"], ["forward", "reversed"]])
def test_a_translation_needs_its_source(s2st, world, tmp_path, members):
    """The probability of each word is its probability in `score` of the pair."""
    models = [word for name in members for word in ("--checkpoint", getattr(world, name))]
    models += ["--threads", 1]
    source, target = (path.read_text().splitlines() for path in (world.source, world.target))
    (tmp_path / "src").write_text(f"{source[0]}\n{source[1]}\n")
    prefix = " ".join(target[0].split()[:2])
    outcome = s2st(
        "score", *models, "--source", tmp_path / "src", "--next", prefix, "--format", "json"
    )
    assert outcome.code == 0, outcome.err
    records = list(map(json.loads, outcome.lines))
    assert [record["line"] for record in records] == [0, 1]
    for line, record in zip(source, records, strict=False):
        words = [row["token"] for row in record["next"] if row["token"] != "</s>"][:5]
        targets = [f"{prefix} {word}\n" for word in words if not word.startswith("<")]
        (tmp_path / "s").write_text(f"{line}\n" * len(targets))
        (tmp_path / "t").write_text("".join(targets))
        pairs = ("--source", tmp_path / "s", "--target", tmp_path / "t", "--format", "json")
        scored = map(json.loads, s2st("score", *models, *pairs).lines)
        expected = {row["tokens"][2]: row["token_log_probs"][2] for row in scored}
        assert expected
        found = {row["token"]: row["log_prob"] for row in record["next"]}
        for word, value in expected.items():
            assert found[word] == pytest.approx(value, abs=1e-4)
    text = s2st("score", *models, "--source", tmp_path / "src", "--next", prefix, "--next-words", 2)
    assert [line.count("\t") for line in text.lines] == [2, 2, 0, 2, 2]
    assert float(text.lines[0].split("\t")[0]) == pytest.approx(
        math.exp(records[0]["next"][0]["log_prob"]), abs=1e-6
    )


def test_mistakes(s2st, world, arpa, tmp_path):
    ngram = ("score", "--checkpoint", arpa, "--next", "a")
    s2st("score", "--checkpoint", world.forward, "--next", "le").check_error(2, "--source")
    s2st("score", "--next", "le").check_error(2, "--checkpoint")
    for extra in (
        ["--target", arpa],
        ["--ref", arpa],
        [arpa],
        ["-o", tmp_path / "x"],
        ["--resume"],
    ):
        s2st(*ngram, *extra).check_error(2, "--next cannot be combined")
    (tmp_path / "empty").touch()
    empty = ("--source", tmp_path / "empty", "--next", "le")
    s2st("score", "--checkpoint", world.forward, *empty).check_error(65, "empty", "no lines")
    with pytest.raises(library.UsageError, match="n must be"):
        library.load(arpa).next_words("a", n=0)
