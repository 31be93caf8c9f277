"""Tests of training on several corpora through the commands: mixture, resume, validation, logs."""

import re
from pathlib import Path

import pytest
from safetensors.torch import load_file

from s2st.training.observer import perplexity_text


@pytest.fixture(scope="module")
def store(s2st, world, tmp_path_factory) -> Path:
    """A store of two corpora of 200 and 100 pairs, with two validation corpora."""
    folder = tmp_path_factory.mktemp("corpora")
    made = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref",
        f"big={world.folder}/train,{world.folder}/other", "--validpref", f"{world.folder}/valid",
        "--validpref", f"{world.folder}/test", "--destdir", folder / "store", "--nwordssrc", 150,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "corpus big: 200 pairs" in made.err
    assert "corpus other: 100 pairs" in made.err
    return folder / "store"


def weights(save: Path) -> dict:
    return load_file(save / "checkpoint_last" / "weights.safetensors")


SIZES = ("--layers", 1, "--hidden-size", 16, "--embedding-size", 16, "--threads", 1)
MIXTURES = {
    "weights": ["--corpus-weight", "other=3", "--corpus-weight", "big=1"],
    "temperature": ["--corpus-temperature", "2"],
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_mixed_training_resumes_exactly(s2st, store, tmp_path, mixture):
    options = ["train", store, *SIZES, "--batch-size", 40, *MIXTURES[mixture]]
    whole = s2st(*options, "--max-update", 11, "--save-dir", tmp_path / "whole")
    assert whole.code == 0, whole.err
    share = {"weights": 225, "temperature": 124}[mixture]  # 3/4; 1 / (1 + sqrt 2) of 300 pairs
    assert f"corpus other: 100 pairs; an epoch has {share}, " in whole.err
    for updates in (5, 11):
        run = s2st(*options, "--max-update", updates, "--save-dir", tmp_path / "parts")
        assert run.code == 0, run.err
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(bool((first[name] == second[name]).all()) for name in first)
    changed = s2st("train", store, *SIZES, "--batch-size", 40, "--save-dir", tmp_path / "parts")
    flag = MIXTURES[mixture][0]
    changed.check_error(2, f"{flag} was")


def test_perplexity_per_corpus_is_that_of_score(s2st, store, world, tmp_path):
    run = s2st("train", store, *SIZES, "--save-dir", tmp_path, "--max-epoch", 1)
    assert run.code == 0, run.err
    (line,) = [
        line for line in run.err.splitlines() if "valid ppl" in line and "epoch 1.00" in line
    ]
    whole, first, second = re.search(r"ppl (\S+) \(valid (\S+), test (\S+)\)", line).groups()
    nlls, tokens = [], []
    for name, shown in (("valid", first), ("test", second)):
        texts = ("--source", world.folder / f"{name}.en", "--target", world.folder / f"{name}.fr")
        score = s2st("score", "--checkpoint", tmp_path / "checkpoint_best", *texts)
        assert shown == f"{float(score.err.rpartition('perplexity ')[2]):.2f}"
        tokens.append(int(re.search(r"([\d,]+) target tokens", score.err)[1].replace(",", "")))
        nlls.append(-sum(map(float, score.lines)))
    assert whole == perplexity_text(sum(nlls) / sum(tokens))


def test_mistakes_are_one_line(s2st, store, world, tmp_path):
    train = ["train", store, *SIZES, "--save-dir", tmp_path / "new"]
    s2st(*train, "--corpus-weight", "big=1").check_error(2, "give a weight for other")
    s2st(*train, "--corpus-weight", "larg=1").check_error(2, "the store has big, other")
    s2st(*train, "--corpus-temperature", "0").check_error(2, "minimum is 0.01")
    assert not (tmp_path / "new").exists()
    prefix = world.folder / "train"
    same = ["preprocess", "-s", "en", "-t", "fr", "--trainpref", f"{prefix},{prefix}"]
    s2st(*same, "--destdir", tmp_path / "x").check_error(2, "NAME=PREFIX")
    texts = ["preprocess", "-s", "en", "-t", "en2", "--trainpref", f"a={prefix}"]
    s2st(*texts, "--destdir", f"{prefix}.en").check_error(74, "already exists")


def test_cleaning_counts_in_the_log(s2st, world, tmp_path):
    for language in ("en", "fr"):
        text = Path(f"{world.folder}/train.{language}").read_text()
        (tmp_path / f"text.{language}").write_text(text + text[: text.index("\n") + 1] + "same a\n")
    made = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", tmp_path / "text", "--drop-copies",
        "--drop-duplicates", "--max-ratio", 9, "--destdir", tmp_path / "store",
    )  # fmt: skip
    assert made.code == 0, made.err
    lines = [line for line in made.err.splitlines() if "skipped" in line]
    duplicates = 1 + 200 - len(set(zip(*_texts(world.folder), strict=True)))
    expected = f"0 with a length ratio above 9, 1 with equal lines, {duplicates} duplicates"
    assert [line.partition("skipped: ")[2] for line in lines] == [expected]


def _texts(folder: Path) -> list[list[str]]:
    return [Path(f"{folder}/train.{lang}").read_text().splitlines() for lang in ("en", "fr")]
