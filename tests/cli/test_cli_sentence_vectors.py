"""`s2st analyze vectors`, and word vectors exported as text."""

import json
import math

import numpy as np
import pytest

import s2st as library
from s2st.text.word_vectors import read_vectors


def test_one_sentences_vector(s2st, world, tmp_path):
    command = ("analyze", "vectors", "--checkpoint", world.forward, "--threads", 1)
    outcome = s2st(*command, stdin=b"the cat runs .\n")
    assert outcome.code == 0, outcome.err
    (line,) = outcome.lines
    model = library.load(world.forward, threads=1)
    (expected,) = model.sentence_vectors(["the cat runs ."])
    assert expected.shape == (2 * 16,)  # hidden and cell state of one layer
    assert list(map(float, line.split(" "))) == pytest.approx(expected.tolist(), abs=1e-6)
    hidden = s2st(*command, "--part", "hidden", "--format", "json", stdin=b"the cat runs .\n")
    (record,) = map(json.loads, hidden.lines)
    assert record["text"] == "the cat runs ."
    assert record["vector"] == pytest.approx(expected[:16].tolist(), abs=1e-12)
    outcome = s2st(*command, world.source, "--npy", tmp_path / "v.npy")
    assert outcome.code == 0, outcome.err
    assert outcome.data == b""
    table = np.load(tmp_path / "v.npy")
    assert table.dtype == np.float32
    lines = world.source.read_text().splitlines()
    np.testing.assert_allclose(table, model.sentence_vectors(lines), atol=1e-6)
    both = s2st(*command, "--checkpoint", world.gru, stdin=b"the cat\n")
    assert both.lines[0].count(" ") == 2 * 16 + 16 - 1


def test_mistakes_of_vectors(s2st, world, tmp_path):
    command = ("analyze", "vectors", "--checkpoint", world.forward)
    s2st(*command, "--npy", world.source, world.source).check_error(2, "test.en")
    s2st(*command, stdin=b"").check_error(65, "no lines")
    s2st(*command, "--part", "memory", stdin=b"a\n").check_error(2, "--part memory", "hidden")
    both = ("--npy", tmp_path / "x", "--format", "json")
    s2st(*command, *both, stdin=b"a\n").check_error(2, "--npy", "--format json")
    s2st("analyze", "vectors", stdin=b"a\n").check_error(2, "--checkpoint")


@pytest.mark.parametrize("others", [0, 1])
def test_a_language_model_has_no_sentence_vectors(s2st, world, tmp_path, others):
    """It is not left out silently beside other models."""
    (tmp_path / "train").write_text("a b\nb a\n")
    arpa = tmp_path / "m.arpa"
    made = s2st("train-ngram", tmp_path / "train", "-o", arpa, "--smoothing", "add-k")
    assert made.code == 0, made.err
    models = ["--checkpoint", arpa, *["--checkpoint", world.forward] * others]
    outcome = s2st("analyze", "vectors", *models, stdin=b"a\n")
    outcome.check_error(2, "this model has no sentence vectors", "a model with a source")


def test_word_vectors_are_read_back(s2st, world, tmp_path):
    outcome = s2st("export", world.forward, tmp_path / "words", "--format", "word2vec")
    assert outcome.code == 0, outcome.err
    from safetensors.numpy import load_file

    weights = load_file(world.forward / "weights.safetensors")
    names = {path.name for path in (tmp_path / "words").iterdir()}
    assert names == {"source.en.vec", "target.fr.vec", "s2st.json"}
    assert json.loads((tmp_path / "words" / "s2st.json").read_text())["vectors"] == {
        "source": "source.en.vec", "target": "target.fr.vec",
    }  # fmt: skip
    for side, language in (("source", "en"), ("target", "fr")):
        path = tmp_path / "words" / f"{side}.{language}.vec"
        dictionary = (world.forward / f"dict.{language}.txt").read_text().splitlines()
        words = [line.rsplit(" ", 1)[0] for line in dictionary]
        table = weights[f"{side}_embedding.weight"][4:]  # after <pad> <s> </s> <unk>
        # as gensim's KeyedVectors.load_word2vec_format reads it
        first, *rows = path.read_text().split("\n")[:-1]
        assert first == f"{len(words)} 16"
        assert [row.split(" ")[0] for row in rows] == words
        found = np.array([row.split(" ")[1:] for row in rows], dtype=np.float32)
        np.testing.assert_array_equal(found, table)
        own = read_vectors(path)
        assert list(own.words) == words
        np.testing.assert_array_equal(own.table, table)
    near = s2st("analyze", "neighbors", "--vectors", path, "le", "--count", 2)
    same = s2st("analyze", "neighbors", "--checkpoint", world.forward, "--side", "target", "le",
                "--count", 2)  # fmt: skip
    assert near.out == same.out
    assert math.isfinite(float(near.lines[1].split("\t")[2]))
    again = s2st("export", world.forward, tmp_path / "words", "--format", "word2vec")
    again.check_error(74, "already exists")
