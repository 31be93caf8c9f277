"""Files in a save folder that no training made: they stay, whatever their names."""

import os

import pytest
from trainers import trainer

from s2st.errors import OutputError
from s2st.training.checkpoint import read_run
from s2st.training.checkpoint_folder import CheckpointFolder


def run_beside(tmp_path, **options):
    """A run that saves at updates 1 to 6, of which it keeps the last."""
    options = {"max_epoch": 1.0, "save_interval_updates": 1, "keep_last": 1} | options
    return trainer(tmp_path, valid=None, **options)


@pytest.mark.parametrize("name", ["checkpoint_0000002", "checkpoint_0000002+"])
def test_a_folder_of_a_user_stays_whatever_its_name(tmp_path, name, caplog):
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("mine")
    run_beside(tmp_path).train()
    assert os.listdir(tmp_path / name) == ["notes.txt"]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [name, "checkpoint_0000006", "checkpoint_best", "checkpoint_last"]
    assert read_run(tmp_path / "checkpoint_last").state.update == 6
    said = [text for text in caplog.messages if "it is kept, and this checkpoint is named" in text]
    assert len(said) == (name == "checkpoint_0000002")


def test_the_last_save_beside_a_users_folder_of_its_name(tmp_path):
    (tmp_path / "checkpoint_0000006").mkdir()
    (tmp_path / "checkpoint_0000006" / "notes.txt").write_text("mine")
    run_beside(tmp_path).train()
    assert os.readlink(tmp_path / "checkpoint_last") == "checkpoint_0000006+"
    assert os.readlink(tmp_path / "checkpoint_best") == "checkpoint_0000006+"
    assert read_run(tmp_path / "checkpoint_last").state.update == 6
    assert os.listdir(tmp_path / "checkpoint_0000006") == ["notes.txt"]


@pytest.mark.parametrize("kind", ["a file", "a dangling link", "a link", "an edited checkpoint"])
def test_other_things_with_the_name_of_a_checkpoint_stay(tmp_path, kind):
    path, other = tmp_path / "run" / "checkpoint_0000002", tmp_path / "other"
    path.parent.mkdir()
    other.mkdir()
    (other / "notes").write_text("mine")
    if kind == "a file":
        path.write_text("mine")
    elif kind == "a dangling link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "a link":
        path.symlink_to(other)
    else:
        run_beside(path.parent, max_epoch=None, max_update=2).train()
        (path / "notes").write_text("mine")
        for name in ("checkpoint_last", "checkpoint_best"):
            (path.parent / name).unlink()
    before = os.lstat(path)
    run_beside(path.parent).train()
    after = os.lstat(path)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert (other / "notes").read_text() == "mine"
    assert kind != "an edited checkpoint" or (path / "notes").read_text() == "mine"
    assert read_run(path.parent / "checkpoint_last").state.update == 6


@pytest.mark.parametrize("link", ["checkpoint_last", "checkpoint_best"])
@pytest.mark.parametrize("kind", ["a file", "a folder", "a symbolic link", "a FIFO"])
def test_a_link_whose_name_is_taken_is_said_before_the_work(tmp_path, link, kind):
    path = tmp_path / "run" / link
    path.parent.mkdir()
    (tmp_path / "other").mkdir()
    if kind == "a file":
        path.write_text("mine")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to("../other")
    with pytest.raises(OutputError) as caught:
        run_beside(path.parent).train()
    assert str(caught.value).startswith(f"{path}: this is {kind}")
    assert os.listdir(path.parent) == [link]
    assert os.readlink(path) == "../other" if kind == "a symbolic link" else os.path.exists(path)


def test_only_leftovers_of_saves_are_swept(tmp_path):
    kept = [".checkpoint_notes.tmp-old", ".checkpoint_last.tmp-mine", ".checkpoint_best.tmp-7x"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    folder = tmp_path / ".checkpoint_0000003.tmp-1"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (tmp_path / ".checkpoint_best.tmp-8").write_text("mine")
    (tmp_path / ".checkpoint_last.tmp-8").symlink_to("../elsewhere")
    stay = {*os.listdir(tmp_path)}
    (tmp_path / ".checkpoint_0000004.tmp-old-1" / "training").mkdir(parents=True)
    (tmp_path / ".checkpoint_0000004.tmp-old-1" / "weights.safetensors").write_text("half")
    (tmp_path / ".checkpoint_last.tmp-9").symlink_to("checkpoint_0000003")
    (tmp_path / ".checkpoint_last.tmp-10").write_text("")
    CheckpointFolder(tmp_path, 2).prepare()
    assert {*os.listdir(tmp_path)} == stay
