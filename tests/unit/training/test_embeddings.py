"""Pretrained word vectors in `s2st train`: rows, coverage, freezing, resume."""

import hashlib
import json
import logging

import pytest
import torch
from builders import model, store

from s2st.data.store import Store
from s2st.errors import DataError, InputMissingError, UsageError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.models.base import Embeddings, ModelSizes
from s2st.models.configs import RecurrentConfig
from s2st.models.model_files import read_saved
from s2st.models.weight_files import load_tensors
from s2st.options.resolution import OptionSource, resolve
from s2st.text.vocabulary import Vocabulary
from s2st.training.observer import Observer
from s2st.training.options import EmbeddingsConfig
from s2st.training.pretrained_embeddings import begin_with_vectors

BASE = {
    "arch": "lstm", "layers": 1, "hidden_size": 5, "embedding_size": 3, "dropout": 0.2,
    "batch_size": 5, "max_update": 4, "optimizer": "adam", "lr": 0.01, "device": "cpu",
    "save_interval_updates": 1, "keep_last": 9,
}  # fmt: skip
SOURCE = "5 3\na 1 2 3\nc 4 5 6\nzebra 7 8 9\na 0 0 0\n</s> 1 1 1\n"  # of a b c d e f
TARGET = "w -1 -2 -3\nV 0.5 0.25 0.125\n"  # of v w x y


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return store(tmp_path_factory.mktemp("data"))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "s.vec").write_text(SOURCE)
    (tmp_path / "t.txt").write_text(TARGET)
    names = ("source_embeddings", "target_embeddings")
    return dict(zip(names, (str(tmp_path / "s.vec"), str(tmp_path / "t.txt")), strict=True))


def train(data, folder, **options):
    values = BASE | options | {"save_dir": str(folder)}
    resolved = resolve(TRAIN_SPEC, [OptionSource("test", values)])
    return run_training(data, resolved, Observer(), lambda: 0)


def tables(folder, update=None):
    """Word -> row of both tables after an update."""
    name = "checkpoint_last" if update is None else f"checkpoint_{update:07d}"
    saved = read_saved(folder / name)
    weights = load_tensors(folder / name / "weights.safetensors")
    found = []
    for side in ("source", "target"):
        words = getattr(saved.record, f"{side}_vocabulary").tokens
        found.append(dict(zip(words, weights[f"{side}_embedding.weight"], strict=True)))
    return found


def same(left, right):
    return {word: bool(torch.equal(left[word], right[word])) for word in left}


def test_words_begin_with_the_files_vectors_and_others_with_their_own(tmp_path, data, files):
    """A learning rate of 0 leaves what training began with."""
    train(data, tmp_path / "plain", lr=0.0, max_update=1)
    train(data, tmp_path / "run", lr=0.0, max_update=1, **files)
    (plain, plain_target), (source, target) = tables(tmp_path / "plain"), tables(tmp_path / "run")
    assert source["a"].tolist() == [1, 2, 3]
    assert source["c"].tolist() == [4, 5, 6]
    assert target["w"].tolist() == [-1, -2, -3]
    changed = [
        word
        for table in (same(plain, source), same(plain_target, target))
        for word, equal in table.items()
        if not equal
    ]
    assert set(changed) == {"a", "c", "w"}


def test_a_lower_cased_form_can_stand_in(tmp_path):
    """The file has `the`, `AND` and `of`, the last in both cases."""
    path = tmp_path / "v"
    path.write_text("the 1 1 1\nAND 2 2 2\nof 3 3 3\nOf 4 4 4\n")
    words = Vocabulary(["The", "and", "Of", "the", "OF"], [5, 4, 3, 2, 1])
    expected = {True: [1, 0, 4, 1, 3], False: [0, 0, 4, 1, 0]}
    for lowercase, values in expected.items():
        config = RecurrentConfig(layers=1, hidden_size=2, embedding_size=3, dropout=0.0)
        made = model("lstm", config, sizes=ModelSizes(len(words), 5))
        table = made.embeddings().source.weight
        with torch.no_grad():
            table.zero_()
        files = EmbeddingsConfig(source_embeddings=str(path), lowercase_embeddings=lowercase)
        begin_with_vectors(made, {"source": words}, files, config)
        assert table.tolist() == [[value] * 3 for value in [0, 0, 0, 0, *values]]


def test_coverage_is_of_words_and_of_running_words(tmp_path, data, files, caplog):
    vocabulary = Store(data).source_vocabulary
    counts = dict(zip(vocabulary.tokens, vocabulary.counts, strict=True))
    share = 100 * (counts["a"] + counts["c"]) / sum(counts.values())
    with caplog.at_level(logging.INFO, "s2st"):
        train(data, tmp_path / "run", max_update=1, **files)
    said = next(m for m in caplog.messages if "vectors for" in m and "s.vec" in m)
    assert f"vectors for 2 of 6 source words (33.3 %), {share:.1f} % of their running" in said


def test_the_width_left_out_is_the_files(tmp_path, data, files):
    train(data, tmp_path / "run", embedding_size=None, **files)
    assert read_saved(tmp_path / "run" / "checkpoint_last").record.config.embedding_size == 3


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lazy-adam"])
def test_frozen_tables_stay_and_the_rest_is_trained(tmp_path, data, files, optimizer):
    train(data, tmp_path, optimizer=optimizer, freeze_embeddings=True,
          source_embeddings=files["source_embeddings"])  # fmt: skip
    (first, first_target), (last, last_target) = tables(tmp_path, 1), tables(tmp_path, 4)
    assert all(same(first, last).values())
    assert last["a"].tolist() == [1, 2, 3]
    assert not all(same(first_target, last_target).values())


@pytest.mark.parametrize("freeze", [False, True])
def test_a_resumed_run_needs_no_file_and_ends_as_a_straight_one(tmp_path, data, files, freeze):
    options = {**files, "freeze_embeddings": freeze, "ema_decay": 0.9}
    train(data, tmp_path / "straight", **options)
    train(data, tmp_path / "run", **options | {"max_update": 2})
    for path in files.values():
        (tmp_path / path).unlink()
    train(data, tmp_path / "run", **options)
    last = [tmp_path / kind / "checkpoint_last" for kind in ("straight", "run")]
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        left, right = ((folder / name).read_bytes() for folder in last)
        assert left == right
    left, right = (json.loads((folder / "training/state.json").read_text()) for folder in last)
    assert left["identity"]["options"] == right["identity"]["options"]
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()
    assert left["identity"]["options"]["source_embeddings"] == f"sha256:{digest}"


def test_another_file_or_none_or_thawing_is_another_run(tmp_path, data, files):
    train(data, tmp_path / "run", max_update=2, freeze_embeddings=True, **files)
    (tmp_path / "other.vec").write_text(SOURCE.replace("4 5 6", "4 5 7"))
    target = files["target_embeddings"]
    for options, text in (
        (
            {**files, "source_embeddings": str(tmp_path / "other.vec")},
            "--source-embeddings was sha",
        ),
        ({"target_embeddings": target}, "--source-embeddings was sha"),
        ({**files, "freeze_embeddings": False}, "--freeze-embeddings was True"),
    ):
        with pytest.raises(UsageError, match=text):
            train(data, tmp_path / "run", **{"freeze_embeddings": True, **options})
    (tmp_path / "copy.vec").write_text(SOURCE)
    copy = {**files, "source_embeddings": str(tmp_path / "copy.vec")}
    assert train(data, tmp_path / "run", freeze_embeddings=True, **copy).update == 4


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"embedding_size": 4}, UsageError,
         "3 numbers, but the source embeddings have 4; use --embedding-"),
        ({"source_embeddings": "none"}, InputMissingError, "none: cannot be read"),
        ({"source_embeddings": "none", "embedding_size": None}, InputMissingError, "none: cannot"),
        ({"target_embeddings": "bad.txt"}, DataError, "bad.txt, line 2: "),
        ({"source_embeddings": None, "target_embeddings": None, "freeze_embeddings": True},
         UsageError, "--freeze-embeddings needs"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, data, files, monkeypatch, options, kind, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_text("v 1 2 3\nw 1 2\n")
    with pytest.raises(kind, match=text):
        train(data, tmp_path / "run", **{**files, **options})


def test_one_table_for_both_sides_takes_one_file(tmp_path, files):
    words = Vocabulary(["a", "w"], [1, 1])
    config = RecurrentConfig(
        layers=1, hidden_size=3, embedding_size=3, dropout=0.0, tie_embeddings="all"
    )
    made = model("lstm", config, sizes=ModelSizes(6, 6))
    sides = {"source": words, "target": words}
    with pytest.raises(UsageError, match="shares one table between the sides"):
        begin_with_vectors(made, sides, EmbeddingsConfig(**files), config)
    path = files["source_embeddings"]
    for names in (
        {"source_embeddings": path, "target_embeddings": path},
        {"target_embeddings": path},
    ):
        table = made.embeddings().target.weight
        with torch.no_grad():
            table.zero_()
        begin_with_vectors(made, sides, EmbeddingsConfig(**names), config)
        assert table.tolist() == [[0] * 3] * 4 + [[1, 2, 3], [0] * 3]


def test_a_side_that_the_architecture_does_not_have_is_refused(files):
    class Bare(torch.nn.Module):
        def embeddings(self):
            return Embeddings(None, torch.nn.Embedding(8, 3))

    with pytest.raises(UsageError, match="--source-embeddings: this architecture has no source"):
        begin_with_vectors(Bare(), {}, EmbeddingsConfig(**files), None)
