"""`inspect --config CHECKPOINT`: `train --config` accepts its lines and goes on with the run."""

import pytest
from builders import SOURCE_WORDS, TARGET_WORDS, equal_pairs, options_of, prepare_again, trainable

from s2st.jobs.average_checkpoints import average
from s2st.jobs.export_release import export
from s2st.jobs.reusable_config import checkpoint_config, command_config
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.models.model_files import read_saved
from s2st.options.option_fields import read_option_file
from s2st.options.resolution import OptionSource, resolve
from s2st.training.observer import Observer
from s2st.training.options import TrainerConfig

FEW = {"batch_size": 5, "device": "cpu", "max_update": 2}
OTHER = {
    "optimizer": "sgd", "lr": 0.0371, "momentum": 0.3, "clip_norm": 1.5, "patience": None,
    "criterion": "label-smoothed-cross-entropy", "label_smoothing": 0.07, "ema_decay": 0.5,
    "lr_scheduler": "inverse-sqrt", "warmup_updates": 3, "normalization": "tokens", "seed": 5,
    "update_freq": 2, "log_interval": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "a"
    equal_pairs(folder, {"en": SOURCE_WORDS, "fr": TARGET_WORDS})
    return prepare_again(folder)


def train(data, folder, *sources, **options):
    given = OptionSource("test", {**options, "save_dir": str(folder)})
    resolved = resolve(TRAIN_SPEC, [*sources, given])
    return run_training(data, resolved, Observer(), lambda: 0), resolved


def source_of(tmp_path, lines):
    path = tmp_path / "options.toml"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return OptionSource(str(path), read_option_file(path))


@pytest.mark.parametrize("name", trainable())
def test_a_run_goes_on_with_the_options_of_its_checkpoint(tmp_path, data, name):
    run = tmp_path / "run"
    frozen = {"freeze": ("softmax",)} if name in ("lstm", "rnn") else {}
    _, first = train(data, run, **FEW, **OTHER, **options_of(name), **frozen)
    source = source_of(tmp_path, checkpoint_config(str(run / "checkpoint_last")))
    assert "save_dir" not in source.values
    result, resolved = train(data, run, source, max_update=3)
    assert result.update == 3
    assert resolved.configs.keys() == first.configs.keys()
    for role in ("criterion", "optimizer", "lr_scheduler"):
        assert resolved.configs[role] == first.configs[role]
    trainers = [options.config(TrainerConfig) for options in (first, resolved)]
    assert (trainers[0].patience, trainers[0].log_interval) == (None, 3)
    assert (trainers[1].patience, trainers[1].log_interval) == (None, 3)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_the_options_of_the_command_are_those_of_the_run(tmp_path, data, name):
    """With DATA, also the sizes that the corpus decides."""
    options = {**options_of(name), **FEW, "lr": 0.01}
    del options["layers"], options["dropout"]
    _, resolved = train(data, tmp_path / "a", **options)
    source = source_of(tmp_path, command_config(resolved, data))
    _, again = train(data, tmp_path / "b", source)
    configs = [read_saved(tmp_path / run / "checkpoint_last").record.config for run in "ab"]
    assert configs[0] == configs[1] == again.configs["arch"]
    assert (tmp_path / "a/checkpoint_last/weights.safetensors").read_bytes() == (
        tmp_path / "b/checkpoint_last/weights.safetensors"
    ).read_bytes()


def test_options_of_a_release_of_an_average_and_of_vectors(tmp_path, data):
    vectors = tmp_path / "vectors"
    vectors.write_text("a 1 2 3 4\n")
    options = {"source_embeddings": str(vectors), "freeze_embeddings": True}
    train(data, tmp_path / "run", **FEW, **options_of("lstm"), **options)
    last = str(tmp_path / "run" / "checkpoint_last")
    export(last, str(tmp_path / "release"))
    lines = list(checkpoint_config(str(tmp_path / "release")))
    assert "max-update = 2" not in lines
    assert any(line.startswith('# source-embeddings = "sha256:') for line in lines)
    assert "# freeze-embeddings = true (give the file)" in lines
    train(data, tmp_path / "again", source_of(tmp_path, lines), max_update=1)
    average([last, last], (), str(tmp_path / "mean"))
    source = source_of(tmp_path, checkpoint_config(str(tmp_path / "mean")))
    assert source.values["hidden_size"] == 6
    assert "optimizer" not in source.values
    train(data, tmp_path / "more", source, max_update=1)
