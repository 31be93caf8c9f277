"""Tests of preparing text: everything that can be wrong with the text and the options."""

import os
from pathlib import Path

import pytest
from test_preprocess import run, texts, train, write_pair

from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.store import Store
from s2st.errors import CheckpointError, DataError, InputMissingError, OutputError, UsageError
from s2st.text.tokenizers import MosesConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

__all__ = ["train"]  # fixture


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if "store" in path.name]


@pytest.mark.parametrize(("count", "short"), [(2, "en"), (6, "fr")])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_unequal_line_counts(tmp_path, train, split, count, short):
    prefix = write_pair(tmp_path, "bad", ["a"] * count, ["x"] * 4)
    options = (
        {"trainpref": (prefix,)}
        if split == "train"
        else {"trainpref": (train,), "validpref": (prefix,)}
    )
    with pytest.raises(DataError, match="the same number of lines") as caught:
        run(tmp_path, **options)
    assert caught.value.path == f"{prefix}.{short}"
    assert caught.value.line == min(count, 4) + 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("side", ["en", "fr"])
def test_bad_utf8_names_file_and_line(tmp_path, train, side):
    (tmp_path / f"train.{side}").write_bytes(b"a\nb \xff\nc\nd\n")
    with pytest.raises(DataError, match="not UTF-8 at byte 3") as caught:
        run(tmp_path, trainpref=(train,))
    assert (caught.value.path, caught.value.line) == (f"{train}.{side}", 2)
    assert leftovers(tmp_path) == []
    run(tmp_path, trainpref=(train,), encoding_errors="replace")
    corpus = texts(Store(tmp_path / "store"), "train")
    assert corpus[1][side == "fr"] == "b \ufffd"


@pytest.mark.parametrize(("line", "count"), [("only", 1), ("a\tb\tc", 3), ("", 1)])
def test_tsv_with_other_than_two_fields(tmp_path, line, count):
    path = tmp_path / "t.tsv"
    path.write_text(f"a\tb\n{line}\nc\td\n")
    with pytest.raises(DataError, match=f"{count} tab-separated fields") as caught:
        run(tmp_path, tsv=str(path))
    assert (caught.value.path, caught.value.line) == (str(path), 2)


def test_no_usable_text(tmp_path, train):
    for source, target, text in (
        ([], [], "the training corpus is empty: the file has no pairs"),
        (["", "a"], ["x", ""], "no usable training pairs .skipped: 2 with an empty side"),
    ):
        prefix = write_pair(tmp_path, "none", source, target)
        with pytest.raises(DataError, match=text):
            run(tmp_path, trainpref=(prefix,))
    prefix = write_pair(tmp_path, "none", [], [])
    with pytest.raises(DataError, match="no lines"):
        run(tmp_path, trainpref=(train,), testpref=(prefix,))


def test_missing_text(tmp_path, train):
    with pytest.raises(InputMissingError, match=r"none\.en"):
        run(tmp_path, trainpref=(str(tmp_path / "none"),))
    os.unlink(f"{train}.fr")
    with pytest.raises(InputMissingError, match=r"train\.fr"):
        run(tmp_path, trainpref=(train,))


def test_the_destination_must_be_new(tmp_path, train):
    (tmp_path / "store").mkdir()
    run(tmp_path, trainpref=(train,))  # an empty folder will do
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "store").iterdir())
    with pytest.raises(OutputError, match="already exists"):
        run(tmp_path, trainpref=(train,))
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "store").iterdir()) == before
    with pytest.raises(OutputError, match="already exists"):
        run(tmp_path, trainpref=(train,), destdir=f"{train}.en")
    with pytest.raises(OutputError, match="cannot be created"):
        run(tmp_path, trainpref=(train,), destdir=f"{train}.en/sub/store")


@pytest.mark.parametrize(
    "options",
    [
        {"trainpref": ("a",), "tsv": "b"},
        {},
        {"srcdict": "d"},
        {"trainpref": ("a",), "source_lang": ""},
        {"trainpref": ("a",), "source_lang": "fr"},
        {"trainpref": ("a",), "source_lang": "../en"},
        {"trainpref": ("a",), "joined_dictionary": True, "srcdict": "d"},
    ],
)
def test_options_that_do_not_fit(tmp_path, options):
    with pytest.raises(UsageError):
        run(tmp_path, **options)


def test_a_missing_dictionary(tmp_path, train):
    with pytest.raises(InputMissingError, match=r"no\.txt"):
        run(tmp_path, trainpref=(train,), srcdict=str(tmp_path / "no.txt"))
    with pytest.raises((InputMissingError, CheckpointError)):
        run(tmp_path, trainpref=(train,), srcdict=str(tmp_path))


@pytest.mark.parametrize(("known", "told"), [(["a"], True), (["a", "b"], False), ([], True)])
def test_text_that_is_mostly_unknown_is_told(tmp_path, known, told, caplog):
    """Half of "a b b c" is unknown where b and one more are known, three quarters where a is."""
    prefix = write_pair(tmp_path, "t", ["a b b c"], ["x"])
    Vocabulary(known, [1] * len(known)).save(tmp_path / "d.txt")
    run(tmp_path, trainpref=(prefix,), validpref=(prefix,), srcdict=str(tmp_path / "d.txt"))
    messages = [record.getMessage() for record in caplog.records]
    share = {"": 100, "a": 75}.get("".join(known))
    assert len(messages) == (2 if told else 0)
    for split, message in zip(("train", "valid"), messages, strict=False):
        assert message.startswith(
            f"{split}: {share}.0% of the en tokens are not in {tmp_path}/d.txt"
        )


@pytest.mark.parametrize("limit", [{"nwordssrc": 2}, {"nwordssrc": 0}, {"thresholdsrc": 1}])
def test_limits_of_a_given_vocabulary_are_refused(tmp_path, train, limit):
    (name,) = limit
    Vocabulary(["a"], [1]).save(tmp_path / "d.txt")
    with pytest.raises(UsageError, match=f"--{name} cannot be combined with --srcdict"):
        run(tmp_path, trainpref=(train,), srcdict=str(tmp_path / "d.txt"), **limit)


def test_a_language_that_moses_does_not_know_is_told_once(tmp_path, train, caplog):
    config = PreprocessConfig("en", "fr", trainpref=(train,), destdir=str(tmp_path / "store"))
    sides = [TokenizerSpec("moses", MosesConfig(), language) for language in ("fre", "kor")]
    write_store(config, *sides)
    messages = [record.getMessage() for record in caplog.records]
    assert [("fre" in message, "kor" in message) for message in messages] == [
        (True, False),
        (False, True),
    ]


def test_a_joined_dictionary_of_two_files_is_refused(tmp_path, train):
    for name, word in (("one", "a"), ("two", "x")):
        Vocabulary([word], [1]).save(tmp_path / name)
    files = {"srcdict": str(tmp_path / "one"), "tgtdict": str(tmp_path / "two")}
    with pytest.raises(UsageError, match="--srcdict and --tgtdict have different words"):
        run(tmp_path, trainpref=(train,), joined_dictionary=True, **files)
    run(
        tmp_path,
        trainpref=(train,),
        joined_dictionary=True,
        **dict.fromkeys(files, files["srcdict"]),
    )
