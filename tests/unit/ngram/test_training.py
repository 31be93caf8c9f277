"""n-gram training equals the formulas at any memory limit, and refuses impossible requests."""

import gzip
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ngram_models import KneserNey, random_text

from s2st.errors import DataError, OutputError, UsageError
from s2st.ngram.arpa_files import read_arpa
from s2st.ngram.external_sort import count_keys
from s2st.ngram.options import NGramConfig
from s2st.ngram.train import train_ngrams
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

TEXT = random_text(600)
SOME = [f"w{i}" for i in range(90)]
TOKENIZER = TokenizerSpec("none", NoneConfig(), "fr")


def train(folder, text, vocabulary=None, **options):
    path = folder / "model.arpa"
    train_ngrams(text, path, NGramConfig(**options), TOKENIZER, vocabulary)
    return path


def parsed(path):
    """(n-gram -> log10 probability, n-gram -> log10 backoff), by a reader of its own."""
    probabilities, backoffs, order = {}, {}, 0
    for line in path.read_text().splitlines():
        if line.endswith("-grams:"):
            order = int(line[1:-7])
        elif order and "\t" in line:
            fields = line.split("\t")
            ngram = tuple(fields[1].split(" "))
            assert len(ngram) == order
            assert ngram not in probabilities
            probabilities[ngram] = float(fields[0])
            if len(fields) == 3:
                backoffs[ngram] = float(fields[2])
    return probabilities, backoffs


@pytest.mark.parametrize(
    ("order", "thresholds", "words"),
    [
        (1, (), None),
        (2, (), None),
        (3, (), None),
        (5, (), None),
        (3, (0, 0, 1), None),
        (4, (0, 1, 2), None),
        (3, (), SOME),
        (3, (0, 1), ["unseen", *SOME]),
    ],
)
def test_the_file_holds_what_the_formulas_say(tmp_path, order, thresholds, words):
    prune = ",".join(map(str, thresholds)) or "0"
    vocabulary = None if words is None else Vocabulary(words, [1] * len(words))
    path = train(tmp_path, TEXT, vocabulary, order=order, prune=prune)
    expected = KneserNey(TEXT, order, thresholds, words)
    probabilities, backoffs = parsed(path)
    ngrams = {ngram for kept in expected.kept[1:] for ngram in kept}
    assert set(probabilities) == ngrams | {(word,) for word in [*expected.words, "<s>"]}
    assert len(ngrams) >= 50 * (order - 1)
    assert probabilities.pop(("<s>",)) == 0
    for ngram, log_prob in probabilities.items():
        value = float(expected.prob(ngram[:-1], ngram[-1]))
        assert 10**log_prob == pytest.approx(value, rel=1e-6)
    assert set(backoffs) == {ngram for ngram in [*probabilities, ("<s>",)] if len(ngram) < order}
    for ngram, backoff in backoffs.items():
        assert 10**backoff == pytest.approx(float(expected.backoff(ngram)), rel=1e-6)


def test_little_memory_makes_the_same_file(tmp_path):
    text = TEXT + random_text(1800, 400, seed=1)
    much = train(tmp_path, text, order=4).read_bytes()
    assert sum(len(line.split()) + 2 for line in text) > 5 * 65536 / 80  # several blocks
    assert train(tmp_path, text, order=4, memory="64K").read_bytes() == much
    train_ngrams(text, tmp_path / "m.arpa.gz", NGramConfig(order=4), TOKENIZER)
    assert gzip.decompress((tmp_path / "m.arpa.gz").read_bytes()) == much
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.arpa.gz", "model.arpa"]


@given(blocks=st.lists(st.lists(st.integers(0, 50)), max_size=8), piece=st.integers(1, 20))
def test_keys_are_counted_over_blocks(tmp_path_factory, blocks, piece):
    folder = tmp_path_factory.mktemp("keys")
    arrays = [np.array(block, dtype=np.int64) for block in blocks]
    keys, counts = count_keys(arrays, folder, "k", piece)
    expected = Counter(key for block in blocks for key in block)
    assert list(zip(keys.tolist(), counts.tolist(), strict=True)) == sorted(expected.items())


def test_special_words_in_the_text_are_unknown_ones(tmp_path):
    text = [*TEXT, "w1 <s> w2 </s> w3 <unk> <pad>"]
    names = sorted({word for line in TEXT for word in line.split()})
    found = parsed(train(tmp_path, text, order=2))[0]
    expected = KneserNey(text, 2, words=names)
    assert 10 ** found["w1", "<unk>"] == pytest.approx(float(expected.prob(("w1",), "<unk>")))
    assert ("<pad>",) not in found


def test_the_most_frequent_words_are_kept(tmp_path):
    counts = Counter(word for line in TEXT for word in line.split())
    best = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    found = parsed(train(tmp_path, TEXT, order=1, nwords=60, discount_fallback=True))[0]
    assert {ngram[0] for ngram in found} == {*best[:60], "<s>", "</s>", "<unk>"}


def test_text_that_allows_no_discounts(tmp_path):
    with pytest.raises(DataError, match=r"discounts of the 1-grams cannot.*--discount-fallback"):
        train(tmp_path, ["a b c"], order=2)
    assert list(tmp_path.iterdir()) == []
    path = train(tmp_path, ["a b c"], order=2, discount_fallback=True)
    probabilities, backoffs = parsed(path)
    # by hand: 4 words once each, 0.5 of each count is spread over 5 words
    assert 10 ** probabilities[("a",)] == pytest.approx(0.5 / 4 + 0.5 / 5)
    assert 10 ** backoffs[("a",)] == pytest.approx(0.5)
    assert 10 ** probabilities["a", "b"] == pytest.approx(0.5 + 0.5 * (0.5 / 4 + 0.5 / 5))
    for empty in ([], ["", ""]):
        with pytest.raises(DataError, match="no words"):
            train(tmp_path, empty, order=2)


def test_options_and_names_that_cannot_be(tmp_path):
    for prune in ("1", "0,2,1", "0,0,0,1", "x", "", "0,-1"):
        with pytest.raises(UsageError, match="--prune"):
            train(tmp_path, TEXT, order=3, prune=prune)
    for memory in ("1K", "much", "5T", ""):
        with pytest.raises(UsageError, match="--memory"):
            train(tmp_path, TEXT, memory=memory)
    config = NGramConfig(order=2)
    with pytest.raises(UsageError, match=r"must end in \.arpa"):
        train_ngrams(TEXT, tmp_path / "model.txt", config, TOKENIZER)
    with pytest.raises(OutputError, match="cannot be written"):
        train_ngrams(TEXT, tmp_path / "no" / "m.arpa", config, TOKENIZER)
    elsewhere = replace(config, temporary_folder=str(tmp_path / "none"))
    with pytest.raises(OutputError, match="none: cannot be written"):
        train_ngrams(TEXT, tmp_path / "m.arpa", elsewhere, TOKENIZER)


def test_a_failure_leaves_the_old_file(tmp_path):
    path = train(tmp_path, TEXT, order=2)
    before = path.read_bytes()
    with pytest.raises(DataError):
        train(tmp_path, ["a"], order=2)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_was_written_is_read(tmp_path):
    path = train(tmp_path, TEXT, order=3)
    ngrams = read_arpa(path)
    probabilities, _ = parsed(path)
    sizes = Counter(map(len, probabilities))
    assert [len(order.keys) for order in ngrams.orders] == [sizes[1] + 1, sizes[2], sizes[3]]
