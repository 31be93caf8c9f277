"""`--finetune-from` and `--freeze`: weights, further words, resume, over every architecture."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from builders import SOURCE_WORDS, TARGET_WORDS, TINY, equal_pairs, options_of, trainable
from torch import nn

from s2st.data.batch_planner import BatchingConfig, plan_batches
from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.store import Store
from s2st.errors import OutOfMemoryError, UsageError
from s2st.jobs import finetune
from s2st.jobs.export_release import export
from s2st.jobs.reusable_config import checkpoint_config
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.jobs.training_checks import check_memory
from s2st.models.model_files import read_saved
from s2st.models.registry import ARCHITECTURES
from s2st.models.weight_files import load_tensors
from s2st.options.resolution import OptionSource, resolve
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import BOS_ID, EOS_ID
from s2st.training.frozen_parameters import freeze
from s2st.training.observer import Observer

FEW = {"batch_size": 5, "max_update": 2, "device": "cpu", "optimizer": "adam", "lr": 0.01}
MORE = {"en": f"{SOURCE_WORDS} n1 n2", "fr": f"m1 {TARGET_WORDS} m2 m3"}
FILES = ("weights.safetensors", "training/optimizer.safetensors")


def write(folder, destination, **options):
    config = PreprocessConfig(
        source_lang="en", target_lang="fr", trainpref=(str(folder / "train"),),
        validpref=(str(folder / "valid"),), destdir=str(destination), **options,
    )  # fmt: skip
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    write_store(config, specs[0], specs[1])
    return str(destination)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Corpora a and b with the words of a, and c with further words."""
    folder = tmp_path_factory.mktemp("stores")
    few = {"en": SOURCE_WORDS, "fr": TARGET_WORDS}
    for seed, (name, words) in enumerate((("a", few), ("b", few), ("c", MORE))):
        equal_pairs(folder / name, words, seed)
    first = write(folder / "a", folder / "a" / "store")
    return {
        "a": first,
        "b": write(folder / "b", folder / "b" / "store", srcdict=first, tgtdict=first),
        "c": write(folder / "c", folder / "c" / "store"),
        "joined": write(folder / "a", folder / "joined", joined_dictionary=True),
        "more joined": write(folder / "c", folder / "more", joined_dictionary=True),
    }


class Losses(Observer):
    """Keeps the loss of every update."""

    def __init__(self):
        self.losses = []

    def updated(self, report):
        self.losses.append(report.loss)


def train(data, folder, **options):
    values = FEW | options | {"save_dir": str(folder)}
    observer = Losses()
    resolved = resolve(TRAIN_SPEC, [OptionSource("test", values)])
    run_training(data, resolved, observer, lambda: 0)
    return observer.losses


def last(folder):
    return folder / "checkpoint_last"


def weights(folder):
    return load_tensors(last(folder) / FILES[0])


def same(left, right):
    return [(last(left) / n).read_bytes() == (last(right) / n).read_bytes() for n in FILES]


class Plain(nn.Module):
    """An LSTM encoder-decoder written by hand, which reads one pair at a time."""

    def __init__(self, tensors):
        super().__init__()
        width, cells = tensors["source_embedding.weight"].shape[1], TINY["hidden_size"]
        self.source = nn.Embedding(*tensors["source_embedding.weight"].shape, padding_idx=0)
        self.target = nn.Embedding(*tensors["target_embedding.weight"].shape, padding_idx=0)
        self.encoder, self.decoder = nn.LSTM(width, cells), nn.LSTM(width, cells)
        self.softmax = nn.Linear(cells, len(tensors["softmax.weight"]), bias=False)
        own = {
            "source.weight": "source_embedding.weight", "target.weight": "target_embedding.weight",
            "softmax.weight": "softmax.weight",
        }  # fmt: skip
        for side in ("encoder", "decoder"):
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
                own[f"{side}.{name}"] = f"{side}.layers.0.{name}"
        assert set(own.values()) == set(tensors)
        self.load_state_dict({name: tensors[other] for name, other in own.items()})

    def nll(self, source, target):
        source = torch.tensor([*source.tolist(), EOS_ID])
        target = target.tolist()
        _, state = self.encoder(self.source(source))
        features, _ = self.decoder(self.target(torch.tensor([BOS_ID, *target])), state)
        return F.cross_entropy(
            self.softmax(features), torch.tensor([*target, EOS_ID]), reduction="sum"
        )


def by_hand(model, optimizer, data):
    """The loss per target word of every update of a first epoch."""
    corpus = Store(data).split("train")
    lengths = corpus.source.lengths(), corpus.target.lengths()
    losses = []
    for rows in plan_batches(*lengths, BatchingConfig(FEW["batch_size"]), 1, 0, 1):
        total = sum(model.nll(corpus.source[row], corpus.target[row]) for row in rows)
        optimizer.zero_grad()
        (total / len(rows)).backward()
        optimizer.step()
        losses.append(total.item() / sum(int(lengths[1][row]) + 1 for row in rows))
    return losses


def test_losses_are_those_of_a_loop_written_by_hand(tmp_path, stores):
    options = {
        "clip_norm": 0.0, "max_update": None, "max_epoch": 1.0, "log_interval": 1,
        "lr_scheduler": "fixed", "normalization": "sentences",
    }  # fmt: skip
    tiny = {"arch": "lstm", **TINY, "dropout": 0.0}
    train(stores["a"], tmp_path / "first", **tiny, lr=0.0, optimizer="sgd", **options)
    initial = weights(tmp_path / "first")  # a rate of 0 leaves the initial weights
    first = train(stores["a"], tmp_path / "a", **tiny, lr=0.5, optimizer="sgd", **options)
    begin = str(last(tmp_path / "a"))
    second = train(stores["b"], tmp_path / "b", finetune_from=begin, **options)
    model = Plain(initial)
    expected = by_hand(model, torch.optim.SGD(model.parameters(), 0.5), stores["a"])
    assert first == pytest.approx(expected, abs=1e-6)
    expected = by_hand(model, torch.optim.Adam(model.parameters(), FEW["lr"]), stores["b"])
    assert len(expected) == 5
    assert second == pytest.approx(expected, abs=1e-6)
    untrained = Plain(initial)
    others = by_hand(untrained, torch.optim.SGD(untrained.parameters(), 0.0), stores["b"])
    assert abs(expected[0] - others[0]) > 0.01


@pytest.fixture(scope="module")
def begun(tmp_path_factory, stores):
    """A function that trains each architecture once on the first corpus."""
    folder, made = tmp_path_factory.mktemp("begun"), {}

    def begin(name):
        if name not in made:
            train(stores["a"], folder / name, **options_of(name))
            made[name] = last(folder / name)
        return made[name]

    return begin


@pytest.mark.parametrize("name", trainable())
def test_weights_and_architecture_are_the_checkpoints(tmp_path, stores, begun, name):
    """A learning rate of 0 leaves the weights that training begins with."""
    begin = begun(name)
    train(stores["b"], tmp_path / "b", finetune_from=str(begin), lr=0.0, max_update=1)
    old, new = load_tensors(begin / FILES[0]), weights(tmp_path / "b")
    assert old.keys() == new.keys()
    assert all(torch.equal(old[key], new[key]) for key in old)
    records = [read_saved(path).record for path in (begin, last(tmp_path / "b"))]
    assert records[0].architecture == records[1].architecture
    assert records[0].config == records[1].config
    state = json.loads((last(tmp_path / "b") / "training/state.json").read_text())
    assert state["state"]["update"] == 1


@pytest.mark.parametrize("name", trainable())
def test_new_words_get_rows_and_old_words_keep_theirs(tmp_path, stores, begun, name, caplog):
    begin = begun(name)
    with pytest.raises(UsageError, match=r"--srcdict .*or give --extend-vocabulary|--tgtdict "):
        train(stores["c"], tmp_path / "no", finetune_from=str(begin))
    assert not (tmp_path / "no").exists()
    options = {"finetune_from": str(begin), "extend_vocabulary": True, "lr": 0.0}
    with caplog.at_level(logging.INFO, "s2st"):
        train(stores["c"], tmp_path / "c", max_update=1, **options)
    records = [read_saved(path).record for path in (begin, last(tmp_path / "c"))]
    old, new = (record.target_vocabulary.tokens for record in records)
    assert new[: len(old)] == old
    assert set(new[len(old) :]) == {"m1", "m2", "m3"}
    sources = 2 if len(records[0].source_vocabulary) > 4 else 0  # a language model has none
    assert f"{sources} new source words and 3 new target words get initial" in caplog.text
    before, after = load_tensors(begin / FILES[0]), weights(tmp_path / "c")
    grown = set()
    for key, values in before.items():
        kept = after[key][tuple(slice(0, size) for size in values.shape)]
        assert torch.equal(kept, values), key
        if after[key].shape != values.shape:
            grown.add(len(after[key]) - len(values))
            assert after[key][len(values) :].abs().min() > 0
    assert grown == {3, sources} - {0}


def test_ids_of_an_extended_vocabulary_are_those_of_the_same_words(stores, begun, tmp_path):
    options = {"finetune_from": str(begun("lstm")), "extend_vocabulary": True}
    resolved = resolve(TRAIN_SPEC, [OptionSource("test", options)])
    base, store = finetune.read_base(resolved), Store(stores["c"])
    words = (store.source_vocabulary, store.target_vocabulary)
    mine = replace(base.record, source_vocabulary=words[0], target_vocabulary=words[1])
    whole = finetune.with_base_words(mine, base, store, True)
    corpus = finetune.with_ids_of(store.split("train"), store, whole)
    folder = Path(stores["c"]).parent
    for side, vocabulary, language in (
        (corpus.source, whole.source_vocabulary, "en"),
        (corpus.target, whole.target_vocabulary, "fr"),
    ):
        lines = (folder / f"train.{language}").read_text().splitlines()
        assert [" ".join(vocabulary.decode(side[row])) for row in range(len(side))] == lines


def test_frozen_rows_of_new_words_are_worth_a_warning(tmp_path, stores, begun, caplog):
    options = {"finetune_from": str(begun("lstm")), "extend_vocabulary": True}
    train(stores["c"], tmp_path, **options, freeze=("encoder", "*_embedding"), max_update=1)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    for name in ("source_embedding.weight", "target_embedding.weight"):
        assert f"--freeze: {name} has rows of new words, which are not trained either" in warnings
    assert not any("softmax" in text for text in warnings)


def test_a_release_has_weights_enough(tmp_path, stores, begun):
    begin = begun("gru")
    export(str(begin), str(tmp_path / "release"))
    for name, path in (("a", begin), ("b", tmp_path / "release")):
        train(stores["b"], tmp_path / name, finetune_from=str(path))
    assert same(tmp_path / "a", tmp_path / "b") == [True, True]


def test_a_joined_vocabulary_stays_joined(tmp_path, stores):
    tied = {**options_of("transformer"), "tie_embeddings": "all"}
    train(stores["joined"], tmp_path / "a", **tied)
    begin = {"finetune_from": str(last(tmp_path / "a")), "lr": 0.0, "max_update": 1}
    with pytest.raises(UsageError, match="--joined-dictionary --srcdict"):
        train(stores["more joined"], tmp_path / "b", **begin)
    for name in ("c", "more joined"):
        train(stores[name], tmp_path / name, extend_vocabulary=True, **begin)
        record = read_saved(last(tmp_path / name)).record
        assert record.source_vocabulary == record.target_vocabulary
        assert len(record.source_vocabulary) == 4 + 6 + 4 + 5


def test_parts_of_an_adaptive_softmax_stay(tmp_path, stores):
    adaptive = {**options_of("lstm"), "softmax": "adaptive", "hidden_size": 32}
    train(stores["a"], tmp_path / "a", **adaptive)
    begin = {"finetune_from": str(last(tmp_path / "a")), "extend_vocabulary": True}
    train(stores["c"], tmp_path / "c", **begin)
    assert read_saved(last(tmp_path / "c")).record.config.adaptive_cutoffs == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", trainable())
def test_a_resumed_run_is_a_straight_one_and_reads_no_weights(tmp_path, stores, begun, name):
    shutil.copytree(begun(name), tmp_path / "begin")
    options = {
        "finetune_from": str(tmp_path / "begin"), "extend_vocabulary": True, "ema_decay": 0.9,
        "save_interval_updates": 1,
    }  # fmt: skip
    train(stores["c"], tmp_path / "straight", **options, max_update=4)
    train(stores["c"], tmp_path / "run", **options, max_update=2)
    (tmp_path / "begin" / FILES[0]).write_bytes(b"")
    train(stores["c"], tmp_path / "run", **options, max_update=3)
    shutil.rmtree(tmp_path / "begin")
    train(stores["c"], tmp_path / "run", **options, max_update=4)
    assert same(tmp_path / "straight", tmp_path / "run") == [True, True]


def test_an_architecture_of_a_plugin_names_the_plugin(tmp_path, stores, monkeypatch):
    monkeypatch.setattr("s2st.jobs.training_model.loaded_plugins", lambda: ("my_plugin",))
    train(stores["a"], tmp_path / "a", **options_of("rctm"))
    monkeypatch.delitem(ARCHITECTURES._entries, "rctm")
    begin = str(last(tmp_path / "a"))
    for read in (
        lambda: train(stores["b"], tmp_path / "b", finetune_from=begin),
        lambda: list(checkpoint_config(begin)),
    ):
        with pytest.raises(UsageError, match=r"unknown architecture 'rctm'.*--plugin my_plugin"):
            read()


def test_another_beginning_is_another_run(tmp_path, stores, begun):
    begin = str(begun("lstm"))
    train(stores["b"], tmp_path / "b", finetune_from=begin, max_update=1)
    shutil.copytree(begin, tmp_path / "copy")
    for options, text in (
        ({"finetune_from": str(tmp_path / "copy")}, "--finetune-from was .*, is "),
        ({"finetune_from": begin, "lr": 0.5}, "--lr was .*with --finetune-from .*, a new run"),
        ({"finetune_from": begin, "freeze": ("encoder",)}, r"--freeze was \[\], is \['encoder'\]"),
        (options_of("lstm"), "--finetune-from was .*, is not set"),
    ):
        with pytest.raises(UsageError, match=text):
            train(stores["b"], tmp_path / "b", **options)
    with pytest.raises(UsageError, match=r"other data.*with --finetune-from"):
        train(stores["a"], tmp_path / "b", finetune_from=begin)


def test_a_named_architecture_or_option_comes_first(tmp_path, stores):
    train(stores["a"], tmp_path / "a", **options_of("lstm-reversed"))
    begin = {"finetune_from": str(last(tmp_path / "a")), "max_update": 1}
    old = read_saved(last(tmp_path / "a")).record.config
    assert old.reverse_source
    for number, (options, reversed_, dropout) in enumerate(
        (
            ({}, True, old.dropout),
            ({"dropout": 0.5}, True, 0.5),
            ({"arch": "lstm"}, True, old.dropout),
            ({"arch": "lstm-forward"}, False, old.dropout),
            ({"arch": "lstm-forward", "reverse_source": True}, True, old.dropout),
        )
    ):
        train(stores["b"], tmp_path / str(number), **begin, **options)
        config = read_saved(last(tmp_path / str(number))).record.config
        assert (config.reverse_source, config.dropout) == (reversed_, dropout), options
        assert config.hidden_size == old.hidden_size
    for options in ({"layers": 3}, {"arch": "gru"}, {"arch": "transformer", "hidden_size": 8}):
        with pytest.raises(UsageError, match=r"do not fit these options: .* leave out --arch"):
            train(stores["b"], tmp_path / "none", **begin, **options)
    assert not (tmp_path / "none").exists()


# --freeze


@pytest.mark.parametrize("name", trainable())
def test_frozen_parameters_stay_and_have_no_optimizer_state(tmp_path, stores, begun, name):
    begin = begun(name)
    model = read_saved(begin).record.build()
    names = [name for name, _ in model.named_parameters()]
    part = names[0].split(".")[0]
    layer = names[-1].rpartition(".")[0] + ".*"
    if all(key.startswith(part) or key.startswith(layer[:-1]) for key in names):
        layer = part
    options = {"finetune_from": str(begin), "freeze": (part, layer), "ema_decay": 0.5}
    train(stores["b"], tmp_path / "b", **options, weight_decay=0.1, lr=0.1)
    frozen = {key for key in names if key.startswith((part + ".", layer[:-1]))}
    assert frozen
    old, new = load_tensors(begin / FILES[0]), weights(tmp_path / "b")
    assert {key for key in names if torch.equal(old[key], new[key])} == frozen
    kept = {int(key.partition(".")[0]) for key in load_tensors(last(tmp_path / "b") / FILES[1])}
    assert kept == {index for index, key in enumerate(names) if key not in frozen}


@pytest.mark.parametrize("name", trainable())
def test_freezing_the_encoder_leaves_the_embeddings(begun, name):
    """The guide says so: the source embeddings are a part of their own."""
    model = read_saved(begun(name)).record.build()
    if not hasattr(model, "encoder"):
        return
    freeze(model, ["encoder"])
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    embedding = dict(model.named_parameters())["source_embedding.weight"]
    assert embedding.requires_grad
    freeze(model, ["source_embedding"])
    assert not embedding.requires_grad


def test_a_frozen_parameter_needs_no_memory_for_a_gradient(stores, begun, monkeypatch):
    model = read_saved(begun("lstm")).record.build()
    softmax = model.softmax.weight.nbytes
    tables = model.source_embedding.weight.nbytes + model.target_embedding.weight.nbytes
    needed = 2 * sum(item.nbytes for item in model.parameters()) - tables
    limits = {"frozen": needed - softmax, "trained": needed}
    for kind, limit in limits.items():
        if kind == "frozen":
            freeze(model, ["softmax"])
        else:
            model.requires_grad_(True)
        monkeypatch.setattr("s2st.jobs.training_checks.memory_limit", lambda limit=limit: limit)
        check_memory(model, torch.device("cpu"))
        monkeypatch.setattr("s2st.jobs.training_checks.memory_limit", lambda limit=limit: limit - 1)
        with pytest.raises(OutOfMemoryError):
            check_memory(model, torch.device("cpu"))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("encodr", "--freeze encodr: no parameter has this name; did you mean encoder"),
        ("decoder.layers.7.*", "did you mean decoder.layers"),
        ("zzz", "the model has source_embedding, target_embedding, encoder, decoder, softmax"),
        ("*", "no parameter is left to train"),
    ],
)
def test_names_that_cannot_be_frozen(tmp_path, stores, pattern, text):
    with pytest.raises(UsageError) as caught:
        train(stores["a"], tmp_path / "a", **options_of("lstm"), freeze=("softmax", pattern))
    assert text in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_a_tied_table_is_frozen_by_either_name(tmp_path, stores, caplog):
    tied = {**options_of("transformer"), "tie_embeddings": "all"}
    with caplog.at_level(logging.INFO, "s2st"):
        train(stores["joined"], tmp_path / "a", **tied, freeze=("target_embedding",))
    assert "source_embedding.weight is not trained either: it is shared" in caplog.text
    kept = load_tensors(last(tmp_path / "a") / FILES[1])
    assert not any(key.startswith("0.") for key in kept)
