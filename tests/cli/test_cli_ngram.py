"""An n-gram model on the command line: trained, then a checkpoint like any other."""

import gzip
import itertools
import math
import re

import builders
import pytest
from ngram_models import KneserNey, random_text

from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES

TEXT = random_text(400)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "train.fr.gz"
    path.write_bytes(gzip.compress("".join(line + "\n" for line in TEXT).encode()))
    return path


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """A tiny model with random weights, a b c d e f to v w x y."""
    config = ARCHITECTURES.get("lstm").config_type(
        layers=1, hidden_size=4, embedding_size=4, dropout=0.0
    )
    record = builders.record("lstm", config)
    folder = tmp_path_factory.mktemp("tiny")
    write_model_files(folder, record, record.build().state_dict())
    write_manifest(folder, record, {})
    return folder


def test_train_and_perplexity(s2st, text, tmp_path):
    """The perplexity is that of the formulas, words unknown to the model among them."""
    outcome = s2st("train-ngram", text, "-o", tmp_path / "m.arpa", "--order", 3)
    assert outcome.code == 0, outcome.err
    assert outcome.data == b""
    expected = KneserNey(TEXT, 3)
    for order in (2, 3):
        assert f"{len(expected.kept[order - 1]):,} {order}-grams" in outcome.err
    lines = [*random_text(30, 300, seed=7), "new words"]
    (tmp_path / "t").write_text("".join(line + "\n" for line in lines))
    outcome = s2st("score", "--checkpoint", tmp_path / "m.arpa", "--target", tmp_path / "t")
    assert outcome.code == 0, outcome.err
    known = set(expected.words)
    sums, tokens = [], 0
    for line in lines:
        words = [word if word in known else "<unk>" for word in line.split()]
        padded = ["<s>", *words, "</s>"]
        tokens += len(padded) - 1
        places = range(1, len(padded))
        sums.append(
            sum(
                math.log(expected.prob(tuple(padded[max(0, i - 2) : i]), padded[i])) for i in places
            )
        )
    assert [float(line.split("\t")[0]) for line in outcome.lines] == pytest.approx(sums, rel=1e-4)
    perplexity = float(re.search(r"perplexity ([\d.,]+)", outcome.err)[1].replace(",", ""))
    assert perplexity == pytest.approx(math.exp(-sum(sums) / tokens), rel=1e-3)


def test_from_a_pipe_compressed_and_over_given_words(s2st, tmp_path):
    (tmp_path / "dict").write_text("w1 9\nw2 5\nw3\n")
    data = "".join(line + "\n" for line in TEXT).encode()
    path = tmp_path / "m.arpa.gz"
    outcome = s2st(
        "train-ngram", "-", "-o", path, "--order", 2, "--dict", tmp_path / "dict",
        "--discount-fallback", "--memory", "64K", stdin=data,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    expected = KneserNey(TEXT, 2, words=["w1", "w2", "w3"])
    rows = dict(
        line.split("\t")[1::-1]
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
        if "\t" in line
    )
    value = float(rows["w1 <unk>"])
    assert value == pytest.approx(math.log10(expected.prob(("w1",), "<unk>")), rel=1e-5)


def test_a_member_of_an_ensemble_and_a_feature(s2st, translator, tmp_path):
    text = random_text(50, 4)
    for old, new in zip(("w0", "w1", "w2", "w3"), "vwxy", strict=True):
        text = [line.replace(old, new) for line in text]
    (tmp_path / "train").write_text("".join(line + "\n" for line in text))
    arpa = tmp_path / "m.arpa"
    outcome = s2st(
        "train-ngram", tmp_path / "train", "-o", arpa, "--order", 2, "--discount-fallback"
    )
    assert outcome.code == 0, outcome.err
    both = "--checkpoint", translator, "--checkpoint", arpa
    outcome = s2st("generate", *both, stdin=b"a b c\nd e\n")
    assert outcome.code == 0, outcome.err
    assert len(outcome.lines) == 2
    (tmp_path / "src").write_text("a b\n")
    (tmp_path / "nbest").write_text(
        "0 ||| v w ||| LM0= -1 ||| -1\n0 ||| y new ||| LM0= -1 ||| -2\n"
    )
    scores = tmp_path / "scores"
    outcome = s2st(
        "rescore-nbest", *both, "--feature-per", "member", "--source", tmp_path / "src",
        "--format", "nbest", tmp_path / "nbest", "-o", scores,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    expected = KneserNey(text, 2)
    rows = scores.read_text().splitlines()
    assert len(rows) == 2
    for row, words in zip(rows, (["v", "w"], ["y", "<unk>"]), strict=True):
        padded = ["<s>", *words, "</s>"]
        value = sum(math.log(expected.prob((a,), b)) for a, b in itertools.pairwise(padded))
        assert float(re.search(r"S2ST1= (\S+)", row)[1]) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("mode", "smoothed", "infinite"),
    [("log-probability", "add-k", True), ("probability", "add-k", False),
     ("probability", "none", True), ("log-probability", "none", True)],
)  # fmt: skip
def test_an_ensemble_tells_when_a_text_is_impossible(s2st, tmp_path, mode, smoothed, infinite):
    """One member's 0 is enough in a product of probabilities; a sum needs all members' 0."""
    (tmp_path / "train").write_text("a b\nb a\n")
    (tmp_path / "target").write_text("a b\na a\n")  # "a a" never occurs
    for name, smoothing in (("x", "none"), ("y", smoothed)):
        outcome = s2st("train-ngram", tmp_path / "train", "-o", tmp_path / f"{name}.arpa",
                       "--order", 2, "--smoothing", smoothing)  # fmt: skip
        assert outcome.code == 0, outcome.err
    outcome = s2st("score", "--checkpoint", tmp_path / "x.arpa", "--checkpoint",
                   tmp_path / "y.arpa", "--target", tmp_path / "target",
                   "--ensemble-mode", mode)  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert ("infinite" in outcome.err) == infinite, outcome.err


def test_mistakes(s2st, text, tmp_path):
    arpa = tmp_path / "m.arpa"
    (tmp_path / "small").write_text("\n")
    s2st("train-ngram", tmp_path / "small", "-o", arpa).check_error(65, "small: the text has no")
    s2st("train-ngram", text, "-o", tmp_path / "m.txt").check_error(2, "m.txt", ".arpa")
    s2st("train-ngram", tmp_path / "none", "-o", arpa).check_error(66, "none")
    (tmp_path / "small").write_text("a b\n")
    s2st("train-ngram", tmp_path / "small", "-o", arpa).check_error(65, "--discount-fallback")
    s2st("train-ngram", text, "-o", arpa, "--prune", "1").check_error(2, "--prune 1")
    arpa.write_text("\\data\\\nngram 1=1\n")
    (tmp_path / "t").write_text("a\n")
    outcome = s2st("score", "--checkpoint", arpa, "--target", tmp_path / "t")
    outcome.check_error(65, "m.arpa", "line", "truncated")
    s2st("score", "--checkpoint", tmp_path / "no.arpa", "--target", tmp_path / "t").check_error(66)
    assert {path.name for path in tmp_path.iterdir()} == {"small", "m.arpa", "t"}


def test_the_file_tells_its_tokenizer(s2st, text, tmp_path):
    """Text given to it alone is cut as in training; readers pass over the comment."""
    path = tmp_path / "lower.arpa"
    options = ["--order", "2", "--discount-fallback", "--tokenizer", "moses", "--lowercase"]
    assert s2st("train-ngram", text, "-o", path, *options, "--lang", "fr").code == 0
    assert path.read_text("utf-8").startswith("# s2st tokenizer {")
    words = TEXT[0]
    scored = []
    for line in (words, words.upper()):
        (tmp_path / "t").write_text(f"{line}\n", "utf-8")
        scored.append(s2st("score", "--checkpoint", path, "--target", tmp_path / "t"))
    assert scored[0].out == scored[1].out
    assert "(0 unknown)" in scored[1].err
    damaged = tmp_path / "damaged.arpa"
    damaged.write_text(path.read_text("utf-8").replace('"moses"', '"mosses"', 1), "utf-8")
    outcome = s2st("score", "--checkpoint", damaged, "--target", tmp_path / "t")
    outcome.check_error(65, "damaged.arpa", "line 1", "no known tokenizer")


def test_a_dictionary_of_other_words_is_told(s2st, text, tmp_path):
    (tmp_path / "dict").write_text("the 5\ncat 3\n")
    options = ["-o", tmp_path / "m.arpa", "--discount-fallback", "--order", 2]
    outcome = s2st("train-ngram", text, *options, "--dict", tmp_path / "dict")
    assert outcome.code == 0, outcome.err
    assert "100.0% of the text's tokens are not in the dictionary" in outcome.err
    (tmp_path / "vocab").write_text("<unk>\t0\n\u2581the\t-3.1\n")
    refused = s2st("train-ngram", text, *options, "--dict", tmp_path / "vocab")
    refused.check_error(65, "vocab, line 1", "SentencePiece .vocab")
    s2st("train-ngram", text, *options, "--tokenizer", "sentencepiece").check_error(2, "--dict")


def test_counts_of_the_text(s2st, tmp_path):
    """By hand: `boy is spreading` occurs 3 times, twice before `insults`; 11 words can follow."""
    lines = ["the boy is spreading fire", "the boy is spreading insults",
             "a boy is spreading insults", "the girl is spreading joy"]  # fmt: skip
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in lines))
    arpa = tmp_path / "m.arpa"
    for smoothing, expected in (
        (["--smoothing", "none"], 2 / 3),
        (["--smoothing", "add-k"], (2 + 1) / (3 + 11)),
        (["--smoothing", "add-k", "--add-k", "0.5"], (2 + 0.5) / (3 + 5.5)),
    ):
        outcome = s2st("train-ngram", tmp_path / "text", "-o", arpa, "--order", 4, *smoothing)
        assert outcome.code == 0, outcome.err
        row = next(r for r in arpa.read_text().splitlines() if "boy is spreading insults" in r)
        assert 10 ** float(row.split("\t")[0]) == pytest.approx(expected)
        (tmp_path / "t").write_text("a boy is spreading insults\na girl is spreading joy\n")
        outcome = s2st("score", "--checkpoint", arpa, "--target", tmp_path / "t")
        possible, other = map(float, outcome.lines)
        if "none" in smoothing:
            # count over count, word by word: a 1/4, boy 1, is 1, spreading 1, insults 2/3
            assert possible == pytest.approx(math.log(1 / 4 * 2 / 3))
            assert other < -99 * math.log(10)
            assert "tokens of probability 0 (log10 -99 in an ARPA file): 1;" in outcome.err
        else:
            assert "of probability 0" not in outcome.err
