"""Tests of preparing: text to store and back."""

import gzip
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2st.data import preprocess_workers
from s2st.data.preprocess import PreprocessReport, write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.store import Store
from s2st.data.user_dictionaries import dictionary_tokenizer
from s2st.errors import DataError, InputMissingError, UsageError
from s2st.text.line_files import split_words
from s2st.text.tokenizers import NoneConfig, SentencePieceConfig, TokenizerSpec
from s2st.text.vocabulary import SPECIALS, UNK_ID, Vocabulary

EN = ["a b a", "b c", "a", "d d d d"]
FR = ["x y", "y y z", "x", "w"]


def spec(language: str, lowercase: bool = False) -> TokenizerSpec:
    return TokenizerSpec("none", NoneConfig(lowercase=lowercase), language)


def write_pair(folder: Path, name: str, source: list[str], target: list[str]) -> str:
    for language, lines in (("en", source), ("fr", target)):
        text = "".join(line + "\n" for line in lines)
        (folder / f"{name}.{language}").write_bytes(text.encode())
    return str(folder / name)


def run(folder: Path, **options: object) -> PreprocessReport:
    """Prepares en to fr into `folder/store`."""
    values = {"source_lang": "en", "target_lang": "fr", "destdir": str(folder / "store"), **options}
    return write_store(PreprocessConfig(**values), spec("en"), spec("fr"))


def texts(store: Store, split: str) -> list[tuple[str, str]]:
    corpus = store.split(split)
    return [
        (
            " ".join(store.source_vocabulary.decode(corpus.source[i])),
            " ".join(store.target_vocabulary.decode(corpus.target[i])),
        )
        for i in range(len(corpus))
    ]


@pytest.fixture
def train(tmp_path: Path) -> str:
    return write_pair(tmp_path, "train", EN, FR)


def test_small_corpus_by_hand(tmp_path, train):
    report = run(tmp_path, trainpref=(train,))
    store = Store(tmp_path / "store")
    assert (report.folder, report.source_words, report.target_words) == (store.folder, 4, 4)
    assert store.source_vocabulary.tokens[4:] == ("d", "a", "b", "c")
    assert store.source_vocabulary.counts[4:] == (4, 3, 2, 1)
    assert store.target_vocabulary.tokens[4:] == ("y", "x", "w", "z")
    corpus = store.split("train")
    assert corpus.source.ids.tolist() == [5, 6, 5, 6, 7, 5, 4, 4, 4, 4]
    assert corpus.source.offsets.tolist() == [0, 3, 5, 6, 10]
    assert corpus.source.lengths().tolist() == [3, 2, 1, 4]
    (split,) = report.splits
    assert (split.pairs, split.source.tokens, split.target.tokens) == (4, 10, 7)
    assert (split.source.unknown, split.skipped_empty, split.skipped_long) == (0, 0, 0)


LINE = st.lists(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\f\v\ufeff"), min_size=1
    ).filter(lambda word: word not in SPECIALS),
    max_size=6,
).map(" ".join)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(LINE, LINE), min_size=1, max_size=12))
def test_store_to_text_gives_the_input(pairs):
    kept = [pair for pair in pairs if all(pair)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefix = write_pair(folder, "t", [p[0] for p in pairs], [p[1] for p in pairs])
        if not kept:
            with pytest.raises(DataError, match="no usable training pairs"):
                run(folder, trainpref=(prefix,))
            return
        report = run(folder, trainpref=(prefix,), validpref=(prefix,))
        store = Store(folder / "store")
        assert texts(store, "train") == kept
        words = {word for pair in kept for word in split_words(pair[0])}
        held_out = texts(store, "valid")
        assert len(held_out) == len(pairs)
        for (source, _), (line, _) in zip(held_out, pairs, strict=True):
            expected = [w if w in words else "<unk>" for w in split_words(line)]
            assert source == " ".join(expected)
        assert report.splits[0].skipped_empty == len(pairs) - len(kept)


def test_counts_agree_with_a_naive_count(tmp_path):
    generator = np.random.default_rng(3)
    words = [f"w{i}" for i in range(60)]
    draw = 60 * generator.random((400, 8)) ** 3
    lines = [" ".join(words[int(i)] for i in row) for row in draw]
    prefix = write_pair(tmp_path, "t", lines, lines[::-1])
    report = run(tmp_path, trainpref=(prefix,), nwordssrc=10, thresholdtgt=30)
    store = Store(tmp_path / "store")
    counts = Counter(word for line in lines for word in line.split())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    source, target = store.source_vocabulary, store.target_vocabulary
    pairs = zip(source.tokens[4:], source.counts[4:], strict=True)
    assert list(pairs) == ranked[:10]
    assert set(target.tokens[4:]) == {word for word, count in counts.items() if count >= 30}
    (split,) = report.splits
    total = sum(counts.values())
    assert split.source.tokens == split.target.tokens == total
    assert split.source.unknown == total - sum(count for _, count in ranked[:10])
    assert split.target.unknown == sum(count for count in counts.values() if count < 30)
    assert int((store.split("train").source.ids == UNK_ID).sum()) == split.source.unknown


def test_joined_dictionary(tmp_path):
    prefix = write_pair(tmp_path, "t", ["a b b", "a"], ["a c", "c c"])
    run(tmp_path, trainpref=(prefix,), joined_dictionary=True)
    store = Store(tmp_path / "store")
    assert store.source_vocabulary == store.target_vocabulary
    assert store.source_vocabulary.tokens[4:] == ("a", "c", "b")
    assert store.source_vocabulary.counts[4:] == (3, 3, 2)


@pytest.mark.parametrize("limit", [{"nwordssrc": 2}, {"nwordstgt": 2}, {"thresholdsrc": 3}])
def test_a_joined_dictionary_is_one_whatever_the_limits(tmp_path, limit):
    prefix = write_pair(tmp_path, "t", ["a b b", "a"], ["a c", "c c"])
    run(tmp_path, trainpref=(prefix,), joined_dictionary=True, **limit)
    store = Store(tmp_path / "store")
    assert store.source_vocabulary == store.target_vocabulary
    assert store.source_vocabulary.tokens[4:] == ("a", "c")


def test_a_joined_dictionary_with_two_limits_is_refused(tmp_path, train):
    with pytest.raises(UsageError, match="--nwordstgt"):
        run(tmp_path, trainpref=(train,), joined_dictionary=True, nwordssrc=3, nwordstgt=2)


def test_source_dictionary_from_a_file_and_from_a_store(tmp_path, train):
    Vocabulary(["c", "a"], [1, 1]).save(tmp_path / "d.txt")
    run(
        tmp_path, trainpref=(train,), srcdict=str(tmp_path / "d.txt"), destdir=str(tmp_path / "one")
    )
    one = Store(tmp_path / "one")
    assert one.source_vocabulary.tokens[4:] == ("c", "a")
    assert one.split("train").source.ids.tolist() == [5, 3, 5, 3, 4, 5, 3, 3, 3, 3]
    assert one.target_vocabulary.tokens[4:] == ("y", "x", "w", "z")
    run(tmp_path, trainpref=(train,), srcdict=str(tmp_path / "one"), destdir=str(tmp_path / "two"))
    assert Store(tmp_path / "two").source_vocabulary == one.source_vocabulary


def test_the_tokenizer_of_a_dictionary_folder(tmp_path, train):
    run(tmp_path, trainpref=(train,))
    assert dictionary_tokenizer(str(tmp_path / "store"), "fr") == spec("fr")
    assert dictionary_tokenizer(str(tmp_path / "store" / "dict.fr.txt"), "fr") is None
    with pytest.raises(UsageError, match="no vocabulary for language 'de'"):
        dictionary_tokenizer(str(tmp_path / "store"), "de")
    with pytest.raises(InputMissingError, match="neither a checkpoint nor a store"):
        dictionary_tokenizer(str(tmp_path), "en")
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="damaged, or not a manifest"):
        dictionary_tokenizer(str(tmp_path), "en")


def test_test_sets_only_with_both_dictionaries(tmp_path, train):
    run(tmp_path, trainpref=(train,))
    first = str(tmp_path / "store")
    prefix = write_pair(tmp_path, "test", ["a q", ""], ["", "y"])
    run(tmp_path, testpref=(prefix,), srcdict=first, tgtdict=first, destdir=str(tmp_path / "b"))
    store = Store(tmp_path / "b")
    assert store.splits == ["test"]
    assert texts(store, "test") == [("a <unk>", ""), ("", "y")]


def test_several_held_out_sets(tmp_path, train):
    more = [write_pair(tmp_path, f"v{i}", EN[:i], FR[:i]) for i in (1, 2, 3)]
    run(tmp_path, trainpref=(train,), validpref=tuple(more[:2]), testpref=(more[2],))
    store = Store(tmp_path / "store")
    assert store.splits == ["train", "valid", "valid1", "test"]
    assert [len(store.split(name)) for name in store.splits] == [4, 1, 2, 3]


def test_empty_and_long_pairs_are_skipped_in_training_only_and_counted(tmp_path):
    source = ["a", "", "  ", "a a a", "a", "b b", "", "c"]
    target = ["x", "x", "x", "x", "x x x", "\t", "", "z z"]
    prefix = write_pair(tmp_path, "t", source, target)
    report = run(tmp_path, trainpref=(prefix,), validpref=(prefix,), max_length=2)
    training, valid = report.splits
    assert (training.pairs, training.skipped_empty, training.skipped_long) == (2, 4, 2)
    assert (valid.pairs, valid.skipped_empty, valid.skipped_long) == (8, 0, 0)
    store = Store(tmp_path / "store")
    assert texts(store, "train") == [("a", "x"), ("c", "z z")]
    assert "b" not in store.source_vocabulary  # it was seen in a skipped pair only
    assert len(store.split("valid")) == 8


def test_tsv_from_file_and_gz_equals_two_files(tmp_path, train):
    run(tmp_path, trainpref=(train,), destdir=str(tmp_path / "files"))
    text = "".join(f"{a}\t{b}\n" for a, b in zip(EN, FR, strict=True)).encode()
    (tmp_path / "t.tsv").write_bytes(text)
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(text))
    for name in ("t.tsv", "t.tsv.gz"):
        run(tmp_path, tsv=str(tmp_path / name), destdir=str(tmp_path / f"{name}.store"))
        assert_same_data(tmp_path / f"{name}.store", tmp_path / "files")


def assert_same_data(first: Path, second: Path) -> None:
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("tokenizer", ["none", "sentencepiece"])
def test_tsv_from_a_pipe_equals_two_files(tmp_path, monkeypatch, tokenizer):
    generator = np.random.default_rng(1)
    lines = [
        "".join(" ab"[i] for i in row).strip() or "a" for row in generator.integers(0, 3, (200, 9))
    ]
    prefix = write_pair(tmp_path, "train", lines, lines[::-1])
    text = "".join(f"{a}\t{b}\n" for a, b in zip(lines, lines[::-1], strict=True)).encode()
    config = (
        SentencePieceConfig(sentencepiece_vocab_size=12) if tokenizer != "none" else NoneConfig()
    )
    specs = [TokenizerSpec(tokenizer, config, language) for language in ("en", "fr")]
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    with os.fdopen(reading, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        for name, options in (("files", {"trainpref": (prefix,)}), ("pipe", {"tsv": "-"})):
            values = {"source_lang": "en", "target_lang": "fr", "destdir": str(tmp_path / name)}
            write_store(PreprocessConfig(**values, **options), *specs)
    assert_same_data(tmp_path / "pipe", tmp_path / "files")


def test_counts_of_several_chunks(tmp_path, train, monkeypatch):
    monkeypatch.setattr(preprocess_workers, "CHUNK_PAIRS", 2)
    held_out = write_pair(tmp_path, "v", ["a q", "b", "q", "", "q q"], ["x", "y z", "q", "w", "x"])
    training, valid = run(tmp_path, trainpref=(train,), validpref=(held_out,)).splits
    assert (training.pairs, training.source.tokens, training.target.tokens) == (4, 10, 7)
    assert (valid.pairs, valid.source.tokens, valid.target.tokens) == (5, 6, 6)
    assert (valid.source.unknown, valid.target.unknown) == (4, 1)
    assert texts(Store(tmp_path / "store"), "train") == list(zip(EN, FR, strict=True))


@pytest.mark.slow
def test_workers_give_the_same_bytes(tmp_path):
    lines = [f"a{i % 97} b{i % 11} c" for i in range(9000)]
    prefix = write_pair(tmp_path, "t", lines, lines[::-1])
    for count in (1, 2):
        destination = str(tmp_path / f"w{count}")
        run(tmp_path, trainpref=(prefix,), validpref=(prefix,), workers=count, destdir=destination)
    assert_same_data(tmp_path / "w1", tmp_path / "w2")


def test_gz_text_is_found_by_the_plain_name(tmp_path):
    for language, lines in (("en", EN), ("fr", FR)):
        text = "".join(line + "\n" for line in lines).encode()
        (tmp_path / f"t.{language}.gz").write_bytes(gzip.compress(text))
    assert run(tmp_path, trainpref=(str(tmp_path / "t"),)).splits[0].pairs == 4


def test_tokenizer_options_reach_the_store(tmp_path):
    prefix = write_pair(tmp_path, "t", ["A b"], ["X"])
    config = PreprocessConfig("en", "fr", trainpref=(prefix,), destdir=str(tmp_path / "store"))
    write_store(config, spec("en", lowercase=True), spec("fr"))
    store = Store(tmp_path / "store")
    assert texts(store, "train") == [("a b", "X")]
    assert store.source_tokenizer == spec("en", lowercase=True)


# memory

GENERATE_AND_PREPARE = """
import resource, sys
from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
write_store(
    PreprocessConfig("en", "fr", tsv="-", destdir=sys.argv[1]),
    TokenizerSpec("none", NoneConfig(), "en"),
    TokenizerSpec("none", NoneConfig(), "fr"),
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KB on Linux")
def test_memory_does_not_grow_with_the_pairs(tmp_path):
    peaks = []
    for pairs in (2_000, 200_000):
        with subprocess.Popen(
            [sys.executable, "-c", GENERATE_AND_PREPARE, str(tmp_path / f"s{pairs}")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            for first in range(0, pairs, 1000):
                lines = (
                    " ".join(f"w{(i * k) % 499}" for k in range(1, 13))
                    for i in range(first, first + 1000)
                )
                process.stdin.write("".join(f"{line}\t{line}\n" for line in lines).encode())
            process.stdin.close()
            assert process.stdout is not None
            peaks.append(int(process.stdout.read()) / 1024)
            assert process.wait() == 0
    assert len(Store(tmp_path / "s200000").split("train")) == 200_000
    assert peaks[1] - peaks[0] < 30, f"{peaks} MB; {resource.getpagesize()} B a page"


@pytest.mark.parametrize("joined", [True, False])
def test_one_training_of_a_tokenizer_is_logged_once(tmp_path, train, caplog, joined):
    """A joined dictionary has one tokenizer for both languages."""
    caplog.set_level("INFO", "s2st")
    settings = SentencePieceConfig(sentencepiece_vocab_size=12)
    prefix = write_pair(tmp_path, "t", ["a b ab ba"] * 30, ["a b ab ba"] * 30)
    config = PreprocessConfig("en", "fr", trainpref=(prefix,), destdir=str(tmp_path / "store"),
                              joined_dictionary=joined)  # fmt: skip
    write_store(config, *(TokenizerSpec("sentencepiece", settings, x) for x in ("en", "fr")))
    told = [m for r in caplog.records if "training SentencePiece" in (m := r.getMessage())]
    for_each = ["training SentencePiece for en", "training SentencePiece for fr"]
    assert told == (["training SentencePiece for en and fr"] if joined else for_each)
