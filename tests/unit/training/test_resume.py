"""Resuming a run of `s2st train`: which options may change, and which must not."""

import json
import os
import re
import shutil

import pytest
import torch
from builders import prepare_again, store
from tampering import reseal

from s2st.errors import CheckpointError, InterruptedBySignalError, OutputError, UsageError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.models.weight_files import load_tensors
from s2st.options.resolution import OptionSource, resolve
from s2st.training.observer import Observer
from s2st.training.options import TrainerConfig

BASE = {
    "arch": "gru", "layers": 1, "hidden_size": 5, "embedding_size": 4, "dropout": 0.2,
    "batch_size": 5, "max_epoch": 2.0, "optimizer": "adam", "lr": 0.01, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return store(tmp_path_factory.mktemp("data"))


def train(data, folder, stop=lambda: 0, **options):
    values = BASE | options | {"save_dir": str(folder)}
    resolved = resolve(TRAIN_SPEC, [OptionSource("test", values)])
    return run_training(data, resolved, Observer(), stop)


def stop_after(calls):
    seen = []

    def stop():
        seen.append(1)
        return 15 if len(seen) == calls else 0

    return stop


def test_the_same_command_goes_on_and_ends_as_a_straight_run(tmp_path, data):
    straight = train(data, tmp_path / "straight")
    with pytest.raises(InterruptedBySignalError):
        train(data, tmp_path / "stopped", stop_after(3))
    resumed = train(data, tmp_path / "stopped")
    assert resumed.update == straight.update == 10
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        left = (tmp_path / "straight" / "checkpoint_last" / name).read_bytes()
        assert left == (tmp_path / "stopped" / "checkpoint_last" / name).read_bytes()


def test_options_that_change_the_mathematics_are_refused_by_name(tmp_path, data):
    train(data, tmp_path, max_epoch=1.0)
    before = os.readlink(tmp_path / "checkpoint_last")
    for name, value, shown in (
        ("lr", 0.02, "--lr was 0.01, is 0.02"),
        ("hidden_size", 6, "--hidden-size was 5, is 6"),
        ("arch", "lstm", "--arch was gru, is lstm"),
        ("batch_size", 6, "--batch-size was 5, is 6"),
        ("seed", 2, "--seed was 1, is 2"),
        ("clip_norm", 1.0, "--clip-norm was 5.0, is 1.0"),
        ("normalization", "tokens", "--normalization was sentences, is tokens"),
        ("reverse_source", True, "--reverse-source was False, is True"),
        ("plateau_factor", 0.1, "--plateau-factor was 0.5, is 0.1"),
        ("update_freq", 2, "--update-freq was 1, is 2"),
    ):
        with pytest.raises(UsageError) as caught:
            train(data, tmp_path, **{"max_epoch": 2.0, name: value})
        assert shown in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        train(data, tmp_path, lr=0.5, optimizer="sgd", dropout=0.0)
    for shown in ("--lr was", "--optimizer was adam, is sgd", "--dropout was 0.2, is 0.0"):
        assert shown in str(caught.value)
    assert os.readlink(tmp_path / "checkpoint_last") == before


def test_options_that_only_say_how_long_may_change(tmp_path, data):
    assert train(data, tmp_path, max_epoch=1.0).update == 5
    longer = train(data, tmp_path, max_epoch=1.6, patience=9, keep_last=7, log_interval=3)
    assert longer.update == 8


def recorded(folder):
    text = (folder / "checkpoint_last" / "training" / "state.json").read_text()
    options = json.loads(text)["identity"]["options"]
    return {name: options[name] for name in ("update_freq", "batch_size", "max_tokens")}


def test_numbers_that_nobody_named_are_recorded_and_kept(tmp_path, data):
    """The record is that of earlier versions, whose defaults were 64 and 1."""
    train(data, tmp_path / "plain", batch_size=None, max_epoch=1.0)
    chosen = {"update_freq": 1, "batch_size": 64, "max_tokens": None}
    assert recorded(tmp_path / "plain") == chosen
    named = train(data, tmp_path / "plain", batch_size=64, update_freq=1, max_epoch=2.0)
    assert named.update == 2
    # a run of two processes: two batches per update, also where one process resumes it
    train(data, tmp_path / "two", update_freq=2, max_epoch=1.0)
    assert train(data, tmp_path / "two").update == 6  # 5 batches are 3 updates an epoch
    assert recorded(tmp_path / "two")["update_freq"] == 2
    assert train(data, tmp_path / "one", update_freq=2).update == 6


def test_tokens_alone_are_not_limited_by_the_default_number_of_sentences(tmp_path):
    many = store(tmp_path / "many", pairs=150)
    tokens = {"batch_size": None, "max_tokens": 100_000, "max_epoch": 1.0}
    assert train(many, tmp_path / "alone", **tokens).update == 1
    assert recorded(tmp_path / "alone")["batch_size"] is None
    assert train(many, tmp_path / "named", **{**tokens, "batch_size": 64}).update == 3
    with pytest.raises(UsageError, match="--batch-size was not set, is 64"):
        train(many, tmp_path / "alone", **{**tokens, "batch_size": 64})
    # an earlier version capped this command at 64 pairs: its run keeps them
    before = {**tokens, "batch_size": 64}
    straight = train(many, tmp_path / "straight", **{**before, "max_epoch": 2.0})
    train(many, tmp_path / "old", **before)
    assert train(many, tmp_path / "old", **{**tokens, "max_epoch": 2.0}).update == straight.update
    left, right = (
        (tmp_path / name / "checkpoint_last" / "weights.safetensors").read_bytes()
        for name in ("old", "straight")
    )
    assert left == right


def test_processes_that_cannot_share_the_recorded_batches_are_refused(tmp_path, data):
    from s2st.jobs.automatic_options import with_choices
    from s2st.process.ranks import Ranks

    options = resolve(TRAIN_SPEC, [OptionSource("test", BASE | {"save_dir": "run"})])
    cpu = torch.device("cpu")
    chosen = with_choices(options, {"update_freq": 6}, Ranks(0, 3), cpu, str)
    assert chosen.config(TrainerConfig).update_freq == 6
    with pytest.raises(UsageError, match=r"^run: .* 6 batches per update.* 4 processes.*divides 6"):
        with_choices(options, {"update_freq": 6}, Ranks(0, 4), cpu, str)
    staged = BASE | {"pipeline_stages": 2, "vocabulary_parts": 2}
    options = resolve(TRAIN_SPEC, [OptionSource("test", staged)])
    chosen = with_choices(options, None, Ranks(0, 4), cpu, str)  # its ranks share each batch
    assert chosen.config(TrainerConfig).update_freq == 1


def edit(kind, folder):
    """Changes the text that the store in the folder was made of; None changes nothing."""
    path = folder / "train.en"
    lines = path.read_text().splitlines()
    if kind == "a line more":
        lines.append("a b")
        with open(folder / "train.fr", "a") as stream:
            stream.write("v\n")
    elif kind == "two lines swapped":
        other = next(i for i, line in enumerate(lines) if line != lines[0])
        lines[0], lines[other] = lines[other], lines[0]
    elif kind == "a word changed":
        lines[3] = "a" if lines[3] != "a" else "b"
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("kind", ["a line more", "two lines swapped", "a word changed", "a touch"])
def test_data_that_changed_are_refused_by_content(tmp_path, kind):
    """The store is made again from the text; the same text gives a store that may go on."""
    path = store(tmp_path / "data")
    train(path, tmp_path / "run", max_epoch=1.0)
    edit(kind, tmp_path / "data")
    shutil.rmtree(path)
    prepare_again(tmp_path / "data")
    if kind == "a touch":
        assert train(path, tmp_path / "run", max_epoch=1.6).update == 8
        return
    with pytest.raises(UsageError, match="other data"):
        train(path, tmp_path / "run", max_epoch=1.6)


def test_damaged_weights_are_a_checkpoint_error_not_a_fresh_start(tmp_path, data):
    train(data, tmp_path, max_epoch=1.0)
    path = tmp_path / "checkpoint_last" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        train(data, tmp_path, max_epoch=2.0)
    # also where the manifest vouches for a file that is no safetensors at all
    path.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="not readable weights"):
        load_tensors(path)


def test_damaged_training_state_is_a_checkpoint_error(tmp_path, data):
    train(data, tmp_path, max_epoch=1.0)
    folder = tmp_path / "checkpoint_last"
    (folder / "training" / "state.json").write_text("{}")
    reseal(folder)
    with pytest.raises(CheckpointError, match="damaged training state"):
        train(data, tmp_path, max_epoch=2.0)


def test_what_differs_without_changing_the_mathematics_is_said(tmp_path, data, caplog):
    train(data, tmp_path, max_epoch=1.0, threads=1)
    with caplog.at_level("INFO", "s2st"):
        train(data, tmp_path, max_epoch=1.5, threads=1, log_interval=7)
    (text,) = [text for text in caplog.messages if "options changed since" in text]
    assert "max-epoch was 1.0, is 1.5" in text
    assert "log-interval was 50, is 7" in text
    assert "patience" not in text
    assert not [text for text in caplog.messages if "bits may differ" in text]


def test_another_environment_is_said(tmp_path, data, caplog, monkeypatch):
    train(data, tmp_path, max_epoch=1.0, threads=1)
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    with caplog.at_level("INFO", "s2st"):
        train(data, tmp_path, max_epoch=1.5, threads=2)
    torch.set_num_threads(1)
    (text,) = [text for text in caplog.messages if "bits may differ" in text]
    assert "torch was " in text
    assert ", is 9.9.9" in text
    assert "threads was 1, is 2" in text
    assert "instructions" not in text


def test_the_log_says_what_saving_cost(tmp_path, data, caplog):
    with caplog.at_level("INFO", "s2st"):
        train(data, tmp_path)
    (text,) = [text for text in caplog.messages if text.startswith("saving took")]
    saving, whole, share = (float(x) for x in re.findall(r"[\d.]+", text))
    assert 0 <= saving <= whole + 1
    assert 0 <= share <= 100


def test_a_second_training_in_the_folder_is_refused(tmp_path, data):
    """The first one is asked to stop from inside the second's attempt."""

    def second():
        with pytest.raises(OutputError, match="uses this folder"):
            train(data, tmp_path)
        return 0

    assert train(data, tmp_path, second, max_epoch=0.4).update == 2


@pytest.mark.parametrize("how", ["removed", "moved", "lock removed", "link moved"])
@pytest.mark.parametrize("second", [False, True])
def test_a_folder_that_is_no_longer_this_runs_is_not_written(tmp_path, data, how, second):
    """As `rm -rf SAVE_DIR` does while a training runs, with and without a second start."""
    folder = tmp_path / "run"
    if how == "link moved":
        (tmp_path / "first").mkdir()
        folder.symlink_to("first")
    updates = iter(range(10))
    left = {}

    def disturb():
        if next(updates) == 1:
            if how == "removed":
                shutil.rmtree(folder)
            elif how == "moved":
                folder.rename(tmp_path / "aside")
            elif how == "lock removed":
                (folder / ".lock").unlink()
            else:
                (tmp_path / "other").mkdir()
                folder.unlink()
                folder.symlink_to("other")
            if second:
                train(data, folder, max_epoch=0.2)
            left.update(contents(tmp_path))
        return 0

    with pytest.raises(OutputError) as caught:
        train(data, folder, disturb, save_interval_updates=2)
    assert str(caught.value).startswith(
        f"{folder}: was removed or replaced while this training ran"
    )
    assert contents(tmp_path) == left
    train(data, folder, max_epoch=0.3)  # the run that has the folder now can resume


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
