"""`--source-vectors` on the command line: from arrays to a store, a model, text and scores."""

import json
import shutil

import numpy as np
import pytest
import torch

import s2st as library
from s2st.data.batch_loader import load_batch
from s2st.data.store import Store
from s2st.models.weight_files import load_tensors
from s2st.text.vector_lines import FIRST_VECTOR

WORDS = ["zero", "one", "two", "three", "four", "five"]
TABLE = np.random.default_rng(5).normal(size=(6, 4))  # the vector of each word


def write(folder, name, count, seed):
    """Sentences of words, and the vectors of these words as their source."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 6, length) for length in rng.integers(1, 6, count)]
    lengths = np.array([len(row) for row in rows])
    np.savez(folder / f"{name}.npz", values=TABLE[np.concatenate(rows)], lengths=lengths)
    text = "".join(" ".join(WORDS[i] for i in row) + "\n" for row in rows)
    (folder / f"{name}.en").write_text(text)


@pytest.fixture(scope="module")
def corpus(s2st, tmp_path_factory):
    """A store of 300 pairs, and a model that reads vectors."""
    folder = tmp_path_factory.mktemp("source-vectors")
    for name, count, seed in (("train", 300, 1), ("valid", 20, 2), ("test", 12, 3)):
        write(folder, name, count, seed)
    outcome = s2st(*preprocess(folder, folder / "store"))
    assert outcome.code == 0, outcome.err
    assert "image: " in outcome.err
    assert "vectors" in outcome.err
    outcome = s2st(*train(folder, folder / "run"))
    assert outcome.code == 0, outcome.err
    return folder


def preprocess(folder, store, *more, splits=("train", "valid", "test")):
    words = ["preprocess", "-s", "image", "-t", "en", "--destdir", store, *more]
    for name in splits:
        words += [f"--{name}pref", folder / name, "--source-vectors", folder / f"{name}.npz"]
    return words


def train(folder, save_dir, *more, arch="gru-attention", epochs="4"):
    return [
        "train", folder / "store", "--layers", "1", "--hidden-size", "24", "--dropout", "0.1",
        "--batch-size", "10", "--lr", "0.02", "--threads", "1", "-a", arch, "--max-epoch", epochs,
        "--save-dir", save_dir, *more,
    ]  # fmt: skip


def arrays(folder, name="test"):
    with np.load(folder / f"{name}.npz") as file:
        return np.split(file["values"], np.cumsum(file["lengths"])[:-1])


def test_batches_of_the_store_have_the_vectors_of_the_file(corpus):
    store = Store(corpus / "store")
    store.verify()
    split = store.split("test")
    batch = load_batch(split, [7, 0, 3])
    expected = [arrays(corpus)[i].astype(np.float32) for i in (7, 0, 3)]
    for row, length, values in zip(
        batch.source.tokens, batch.source.lengths, expected, strict=True
    ):
        places = row[: int(length) - 1] - FIRST_VECTOR
        np.testing.assert_array_equal(batch.source.vectors[places], values)
    assert split.source.lengths().tolist() == [len(values) for values in arrays(corpus)]


def test_the_model_learns_and_every_way_of_asking_gives_the_same_text(s2st, corpus, tmp_path):
    best = corpus / "run" / "checkpoint_best"
    asked = ("generate", "--checkpoint", best, "--source-vectors")
    lines = s2st(*asked, corpus / "test.npz").data.decode().splitlines()
    reference = (corpus / "test.en").read_text().splitlines()
    assert sum(a == b for a, b in zip(lines, reference, strict=True)) > len(lines) / 2
    pair = tmp_path / "pair"
    pair.mkdir()
    with np.load(corpus / "test.npz") as file:
        np.save(pair / "values.npy", file["values"])
        np.save(pair / "lengths.npy", file["lengths"])
    again = s2st(*asked, pair, "-o", tmp_path / "out", "--buffer-size", "5")
    assert again.code == 0, again.err
    assert (tmp_path / "out").read_text().splitlines() == lines
    model = library.load(best)
    assert model.source_vector_size == 4
    assert model.translate(arrays(corpus)) == lines
    assert model.translate(np.stack([arrays(corpus)[0]] * 2)) == [lines[0]] * 2
    # the same member twice is the member itself
    assert library.load([best, best]).translate(arrays(corpus)) == lines


def test_scores_are_those_of_the_search_and_of_python(s2st, corpus):
    best = corpus / "run" / "checkpoint_best"
    outcome = s2st(
        "score", "--checkpoint", best, "--source-vectors", corpus / "test.npz",
        "--target", corpus / "test.en",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    printed = [float(line) for line in outcome.data.decode().split()]
    model = library.load(best)
    reference = (corpus / "test.en").read_text().splitlines()
    scored = [pair.log_prob for pair in model.score(arrays(corpus), reference)]
    np.testing.assert_allclose(printed, scored, atol=1e-6)
    # equal sources share their encoding: all pairs of two sources
    shared = model.score([arrays(corpus)[0]] * 3 + [arrays(corpus)[1]] * 3, reference[:3] * 2)
    alone = [model.score([arrays(corpus)[i]], [r])[0] for i in (0, 1) for r in reference[:3]]
    np.testing.assert_allclose([p.log_prob for p in shared], [p.log_prob for p in alone], rtol=1e-4)
    lists = model.rescore(arrays(corpus)[:2], [["one", reference[0]], [reference[1], "two"]])
    for best_of, expected in zip(lists.lists, scored, strict=False):
        chosen = next(c for c in best_of if c.text in reference)
        assert chosen.features["S2ST0"][0] == pytest.approx(expected, abs=1e-4)
    found = model.attention(arrays(corpus)[:1])[0]
    assert found.source == (*map(str, range(1, len(arrays(corpus)[0]) + 1)), "</s>")


def test_length_penalties_have_the_bleu_of_generate(s2st, corpus, tmp_path):
    model = ("--checkpoint", corpus / "run/checkpoint_best")
    vectors = (*model, "--source-vectors", corpus / "test.npz")
    tuned = s2st(
        "tune-length", *vectors, "--ref", corpus / "test.en", "--lenpen-step", "2", "--format",
        "json",
    )  # fmt: skip
    assert tuned.code == 0, tuned.err
    rows = [json.loads(line) for line in tuned.lines]
    assert [row["lenpen"] for row in rows] == [0, 2]
    for row in rows:
        out = tmp_path / f"{row['lenpen']}"
        assert s2st("generate", *vectors, "--lenpen", row["lenpen"], "-o", out).code == 0
        report = s2st("score", out, "--ref", corpus / "test.en", "--format", "json")
        (found,) = map(json.loads, report.lines)
        assert row["bleu"] == pytest.approx(found["BLEU"]["score"], abs=1e-6)


def test_a_resumed_training_ends_with_the_same_weights(s2st, corpus, tmp_path):
    halves = tmp_path / "halves"
    assert s2st(*train(corpus, halves, "--max-update", "37")).code == 0
    outcome = s2st(*train(corpus, halves))
    assert outcome.code == 0, outcome.err
    assert "resuming" in outcome.err
    weights = "checkpoint_last/weights.safetensors"
    assert (halves / weights).read_bytes() == (corpus / "run" / weights).read_bytes()


def test_validation_translates_the_vectors(s2st, corpus, tmp_path):
    outcome = s2st(
        *train(corpus, tmp_path / "run"), "--best-checkpoint-metric", "bleu",
        "--validate-samples", "1",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "vectors of size 4]" in outcome.err
    hypotheses = s2st(
        "generate", "--checkpoint", tmp_path / "run/checkpoint_best", "--source-vectors",
        corpus / "valid.npz", "-o", tmp_path / "out",
    )  # fmt: skip
    assert hypotheses.code == 0
    report = s2st("score", tmp_path / "out", "--ref", corpus / "valid.en").data.decode()
    told = [line for line in outcome.err.splitlines() if "(best)" in line][-1]
    assert f"{float(told.split('bleu ')[1].split()[0]):.2f}" in report


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm-reversed", "transformer", "rctm", "aligned-rnn"])
def test_other_architectures_train_and_translate(s2st, corpus, tmp_path, arch):
    outcome = s2st(*train(corpus, tmp_path / "run", arch=arch))
    assert outcome.code == 0, outcome.err
    outcome = s2st(
        "generate", "--checkpoint", tmp_path / "run/checkpoint_best", "--source-vectors",
        corpus / "test.npz",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert len(outcome.data.decode().splitlines()) == 12


@pytest.mark.extensive
def test_two_ranks_train_and_translate_as_one(shell, corpus, tmp_path):
    same = ["--update-freq", "2"]
    run = "python -m torch.distributed.run --nproc-per-node 2 -m s2st_cli"
    for name, command in (("one", "python -m s2st_cli"), ("two", run)):
        outcome = shell(f'{command} "$@"', *train(corpus, tmp_path / name, *same, epochs="1"))
        assert outcome.code == 0, outcome.err
    weights = [
        load_tensors(tmp_path / name / "checkpoint_last" / "weights.safetensors")
        for name in ("one", "two")
    ]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)
    asked = ["generate", "--checkpoint", corpus / "run/checkpoint_best", "--source-vectors"]
    asked += [corpus / "test.npz", "-o"]
    for name, command in (("a", "python -m s2st_cli"), ("b", run)):
        outcome = shell(f'{command} "$@"', *asked, tmp_path / name)
        assert outcome.code == 0, outcome.err
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_inspect_names_the_vectors(s2st, corpus):
    shown = s2st("inspect", corpus / "run/checkpoint_best").data.decode()
    assert "source image: vectors of size 4\n" in shown
    assert "source vectors of size 4" in shown
    shown = s2st("inspect", corpus / "store").data.decode()
    assert "test: 12 pairs, 40 vectors and 40 target tokens" in shown.replace(
        str(sum(map(len, arrays(corpus)))), "40"
    )


@pytest.mark.parametrize(
    "more",
    [
        ["--srcdict", "x"], ["--nwordssrc", "5"], ["--thresholdsrc", "2"], ["--joined-dictionary"],
        ["--max-ratio", "3"], ["--drop-copies"], ["--only-target"], ["--tsv", "x"],
        ["--source-sentencepiece", "x"],
    ],
)  # fmt: skip
def test_options_about_source_words_are_refused(s2st, corpus, tmp_path, more):
    outcome = s2st(*preprocess(corpus, tmp_path / "store", *more))
    assert outcome.code == 2
    assert f"--source-vectors cannot be combined with {more[0]}: a vector is no word" in outcome.err


def test_files_that_do_not_fit_the_text(s2st, corpus, tmp_path):
    for name in ("train", "valid"):
        shutil.copy(corpus / f"{name}.en", tmp_path)
        shutil.copy(corpus / f"{name}.npz", tmp_path)
    cases = [
        (corpus / "test.npz", 65, "train.en, line 13: has more lines than"),
        (tmp_path / "wide.npy", 65, "valid.npz: vectors of size 4, but"),
        (tmp_path / "nan.npy", 65, "nan.npy: sentence 3, vector 1, number 2: nan is not a finite"),
        (tmp_path / "more.npy", 65, "more.npy: has 301 sentences, but"),
        (tmp_path / "nothing.npy", 66, "nothing.npy: cannot read the vectors"),
    ]
    np.save(tmp_path / "wide.npy", np.ones((300, 2, 5)))
    np.save(tmp_path / "more.npy", np.ones((301, 2, 4)))
    wrong = np.ones((300, 2, 4))
    wrong[2, 0, 1] = np.nan
    np.save(tmp_path / "nan.npy", wrong)
    for file, code, told in cases:
        words = [
            "preprocess", "-s", "image", "-t", "en", "--destdir", tmp_path / "store",
            "--validpref", tmp_path / "valid", "--trainpref", tmp_path / "train",
            "--source-vectors", file, "--source-vectors", tmp_path / "valid.npz",
        ]  # fmt: skip
        outcome = s2st(*words)
        assert (outcome.code, told in outcome.err) == (code, True), outcome.err
        assert outcome.err.count("error:") == 1
        assert not (tmp_path / "store").exists()
    outcome = s2st(*words[:-2])
    assert outcome.code == 2
    assert "--source-vectors is given 1 times, but there are 2 texts" in outcome.err


def test_models_and_sources_that_do_not_fit(s2st, corpus, world, attending, tmp_path):
    best = corpus / "run/checkpoint_best"
    np.save(tmp_path / "wide.npy", np.ones((3, 2, 5)))
    vectors = ["--source-vectors", corpus / "test.npz"]
    text = corpus / "test.en"
    cases = [
        (["generate", "--checkpoint", best, text], 2, "reads vectors, not text"),
        (["generate", "--checkpoint", world.forward, *vectors], 2, "does not read vectors"),
        (["generate", "--checkpoint", best, text, *vectors], 2, "INPUT ("),
        (
            ["generate", "--checkpoint", best, "--source-vectors", tmp_path / "wide.npy"],
            65, "wide.npy: vectors of size 5, but the model reads vectors of size 4",
        ),
        (["generate", "--checkpoint", best, "--replace-unk", *vectors], 2, "copies source words"),
        (["generate", "--checkpoint", best, "--shortlist", text, *vectors], 2, "source of words"),
        (["score", "--checkpoint", best, *vectors, "--source", text, "--target", text], 2, "not b"),
        (["score", "--checkpoint", world.forward, *vectors, "--target", text], 2, "does not read"),
        (
            ["score", "--checkpoint", best, *vectors, "--target", corpus / "valid.en"],
            65, "test.npz, line 13: ends after 12 lines, but",
        ),
        (
            ["tune-length", "--checkpoint", best, *vectors, "--ref", corpus / "valid.en"],
            65, "test.npz, line 13: ends after 12 lines, but",
        ),
        (
            ["tune-length", "--checkpoint", best, *vectors, "--source", text, "--ref", text],
            2, "not b",
        ),
        (["tune-length", "--checkpoint", best, "--source", text, "--ref", text], 2, "not text"),
        (
            ["tune-length", "--checkpoint", world.forward, *vectors, "--ref", text],
            2, "does not read vectors",
        ),
        (["export", best, tmp_path / "x", "--format", "onnx"], 2, "format onnx cannot hold"),
        (["train-lexicon", corpus / "store", "-o", tmp_path / "l"], 2, "its sources are vectors"),
        (["serve", "--checkpoint", best], 2, "which a page cannot take"),
    ]  # fmt: skip
    for words, code, told in cases:
        outcome = s2st(*words)
        assert (outcome.code, told in outcome.err) == (code, True), (words, outcome.err)
        assert outcome.err.count("error:") == 1
        assert outcome.data == b""


def test_python_arrays_that_cannot_be_used(corpus, world):
    model = library.load(corpus / "run/checkpoint_best")
    for wrong, told in (
        (["text"], "reads vectors, not text"),
        ([[[1.0, 2.0, 3.0, 4.0]]], "lines, line 1: an array of NumPy"),
        (np.ones((2, 4)), r"for one line, give \[array\]"),
        ([torch.ones(2, 4, requires_grad=True)], "lines, line 1: cannot be read as an array"),
        ([np.ones((2, 5))], "vectors of size 5, but the model reads vectors of size 4"),
        ([np.full((2, 4), np.nan)], "lines, line 1: a number is not finite"),
        ([np.ones((2, 4)), "text"], "lines, line 2: an array"),
        ([np.ones(4)], "not one of shape"),
    ):
        with pytest.raises(library.S2STError, match=told):
            model.translate(wrong)
    with pytest.raises(library.UsageError, match="reads text, not vectors"):
        library.load(world.forward).translate(np.ones((1, 2, 4)))


def test_finetuning_needs_vectors_of_the_same_size(s2st, corpus, world, tmp_path):
    words = train(corpus, tmp_path / "run", "--finetune-from", corpus / "run/checkpoint_best")
    assert s2st(*words).code == 0
    outcome = s2st(
        "train", corpus / "store", "--finetune-from", world.forward, "--save-dir", tmp_path / "x"
    )
    assert outcome.code == 2
    assert "the model reads words, but the sources of" in outcome.err
    assert "are vectors of size 4" in outcome.err


def test_next_words_after_vectors(s2st, corpus):
    """The first word's table holds what `score` gives the first word of a target."""
    model = ("--checkpoint", corpus / "run" / "checkpoint_best", "--threads", 1)
    source = ("--source-vectors", corpus / "test.npz", "--format", "json")
    outcome = s2st("score", *model, *source, "--next", " ", "--next-words", 20)
    assert outcome.code == 0, outcome.err
    scored = s2st("score", *model, *source, "--target", corpus / "test.en")
    for table, pair in zip(map(json.loads, outcome.lines), map(json.loads, scored.lines),
                           strict=True):  # fmt: skip
        found = {row["token"]: row["log_prob"] for row in table["next"]}
        expected = pair["token_log_probs"][0]
        assert found[pair["tokens"][0]] == pytest.approx(expected, abs=1e-4)
    both = ("--source", corpus / "test.en", "--next", "one")
    s2st("score", *model, *source, *both).check_error(2, "not both")
