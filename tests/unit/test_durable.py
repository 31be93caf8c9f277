"""Durable files: the order of operations, files left after failures, error messages."""

import errno
import os
import threading
from pathlib import Path

import pytest

from s2st.errors import OutputError
from s2st.process import durable_files, durable_folders


@pytest.fixture
def operations(monkeypatch):
    """Every operation in order, as (name, path)."""
    found = []
    monkeypatch.setattr(
        durable_files, "_observe", lambda name, path, other: found.append((name, path))
    )
    return found


def failing(monkeypatch, number):
    """Lets the operation of this number (from 1) fail; the list tells how many there were."""
    seen = []

    def observe(name, path, other):
        seen.append(name)
        if len(seen) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(durable_files, "_observe", observe)
    return seen


def test_a_writer_goes_on_at_the_end_and_over_the_beginning(tmp_path):
    with durable_files.Writer(tmp_path / "a") as writer:
        writer.write(b"____")
        writer.write(b"body")
        writer.rewind()
        writer.write(b"head")
    assert (tmp_path / "a").read_bytes() == b"headbody"


def test_a_file_lasts_before_it_has_its_name(tmp_path, operations):
    durable_files.replace_file(tmp_path / "a", b"new")
    names = [name for name, _ in operations]
    assert names == ["create", "write", "sync", "rename", "sync"]
    assert operations[3][1] == tmp_path / "a"
    assert operations[4][1] == tmp_path


def test_a_folder_lasts_with_all_below_it_before_it_has_its_name(tmp_path, operations):
    with durable_folders.new_folder(tmp_path / "f") as folder:
        durable_folders.make_folder(folder / "inner")
        durable_files.write_file(folder / "inner" / "a", b"1")
        inner = folder
    renamed = operations.index(("rename", tmp_path / "f"))
    before = [path for name, path in operations[:renamed] if name == "sync"]
    last_creation = max(i for i, (name, _) in enumerate(operations) if name in ("create", "mkdir"))
    for path in (inner, inner / "inner"):
        assert path in before
        assert max(i for i, step in enumerate(operations) if step == ("sync", path)) > last_creation
    assert operations[renamed + 1] == ("sync", tmp_path)


def test_new_folders_last_in_their_parents(tmp_path, operations):
    durable_folders.make_folder(tmp_path / "a" / "b")
    assert [path for name, path in operations if name == "mkdir"] == [
        tmp_path / "a",
        tmp_path / "a" / "b",
    ]
    assert {path for name, path in operations if name == "sync"} == {tmp_path, tmp_path / "a"}


@pytest.mark.parametrize("number", range(1, 6))
def test_a_file_that_cannot_be_replaced_stays(tmp_path, monkeypatch, number):
    (tmp_path / "a").write_bytes(b"old")
    seen = failing(monkeypatch, number)
    with pytest.raises(OutputError) as caught:
        durable_files.replace_file(tmp_path / "a", b"new")
    assert len(seen) >= number
    # the fifth is the sync of the folder: the name has changed by then
    assert (tmp_path / "a").read_bytes() == (b"old" if number < 5 else b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert ".tmp" not in str(caught.value)
    assert "No space left on device" in str(caught.value)


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("a")
    durable_files.replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    durable_files.replace_file(pipe, b"data")
    reader.join(20)
    assert read == [b"data"]
    assert pipe.is_fifo()


def test_leftovers_of_stopped_processes_are_removed_and_others_stay(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    dead, alive = tmp_path / f".f.tmp-{child}", tmp_path / f".f.tmp-{os.getppid()}"
    own, other = tmp_path / f".f.tmp-{os.getpid()}", tmp_path / f".fg.tmp-{child}"
    for folder in (dead, alive, own, other):
        folder.mkdir()
        (folder / "manifest.json").write_bytes(b"")
    with durable_folders.new_folder(tmp_path / "f") as folder:
        durable_files.write_file(folder / "new", b"")
    assert sorted(os.listdir(tmp_path)) == sorted([alive.name, other.name, "f"])
    assert os.listdir(tmp_path / "f") == ["new"]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    def fill():
        with durable_folders.new_folder(tmp_path / "f") as folder:
            durable_files.write_file(folder / "a", b"1")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fill()
    assert os.listdir(tmp_path) == []


def test_a_link_moves_at_once(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    durable_files.point_link(tmp_path / "last", "a")
    seen = []
    monkeypatch.setattr(
        durable_files, "_observe", lambda *step: seen.append(os.readlink(tmp_path / "last"))
    )
    durable_files.point_link(tmp_path / "last", "b")
    assert os.readlink(tmp_path / "last") == "b"
    assert set(seen) == {"a", "b"}  # never without one, or readlink had failed


def test_messages_name_what_the_user_knows():
    path = Path("run/.checkpoint_0000012.tmp-77/training/state.json")
    assert str(durable_files.final_path(path)) == "run/checkpoint_0000012/training/state.json"
    assert durable_files.final_path(Path("/a/.hidden/b.tmp-c")) == Path("/a/.hidden/b.tmp-c")


def test_a_retired_folder_is_never_half_there(tmp_path, monkeypatch):
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    states = []
    monkeypatch.setattr(
        durable_files,
        "_observe",
        lambda *step: states.append((folder.exists(), (folder / "a").exists())),
    )
    durable_folders.retire_folder(folder)
    assert set(states) == {(True, True), (False, False)}
    assert os.listdir(tmp_path) == []


def test_the_names_in_real_folders_are_those_that_are_known(tmp_path):
    """Of a checkpoint and a store; the files of trained tokenizers are in neither."""
    from builders import store
    from trainers import trainer

    from s2st.text.tokenizer_files import model_file_name
    from s2st.text.tokenizers import MODEL_KINDS

    trainer(tmp_path / "run", max_epoch=1.0).train()
    folders = [Path(store(tmp_path / "text")), tmp_path / "run" / "checkpoint_last"]
    for tokenizer in MODEL_KINDS:
        durable_files.write_file(folders[0] / model_file_name(tokenizer, "en"), b"")
    for folder in map(Path.resolve, folders):
        assert durable_folders.has_only_s2st_files(folder)
        (folder / "dict.notes").write_text("a user's")
        assert not durable_folders.has_only_s2st_files(folder)


@pytest.mark.parametrize("kind", ["a file", "a link", "a link to a folder", "unreadable"])
def test_a_folder_with_a_users_file_is_not_s2sts(tmp_path, kind, monkeypatch):
    folder = tmp_path / "f"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "state.json").write_text("damaged")
    (folder / "manifest.json").write_text("damaged")
    assert durable_folders.has_only_s2st_files(folder)
    (tmp_path / "link").symlink_to("f")
    assert not durable_folders.has_only_s2st_files(tmp_path / "link")
    if kind == "a file":
        (folder / "training" / "notes.txt").write_text("")
    elif kind == "a link":
        (folder / "weights.safetensors").symlink_to(tmp_path / "big")
    elif kind == "a link to a folder":
        (folder / "more").symlink_to(tmp_path)
    else:

        def refuse(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "scandir", refuse)
    assert not durable_folders.has_only_s2st_files(folder)


def test_a_leftover_with_a_users_file_stays(tmp_path):
    leftover = tmp_path / f".f.tmp-{os.getpid()}"
    leftover.mkdir()
    (leftover / "notes.txt").write_text("a user's")
    with durable_folders.new_folder(tmp_path / "f") as folder:
        durable_files.write_file(folder / "manifest.json", b"")
    assert (leftover / "notes.txt").read_text() == "a user's"
    assert sorted(os.listdir(tmp_path)) == [leftover.name, "f"]


def test_a_new_file_is_never_an_old_one(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "link").symlink_to("made")
    for name in ("a", "link"):
        with pytest.raises(OutputError, match="File exists"):
            durable_files.write_file(tmp_path / name, b"new")
    assert (tmp_path / "a").read_text() == "old"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "kind", ["a file", "a link to nowhere", "a link to an empty folder", "full"]
)
def test_a_name_that_a_new_folder_cannot_have_is_said_before_the_work(tmp_path, kind):
    final = tmp_path / "f"
    if kind == "a file":
        final.write_text("mine")
    elif kind == "full":
        final.mkdir()
        (final / "notes").write_text("mine")
    else:
        if kind == "a link to an empty folder":
            (tmp_path / "empty").mkdir()
        final.symlink_to("empty")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OutputError, match="f: already exists"), durable_folders.new_folder(final):
        pytest.fail("the work began")
    assert sorted(os.listdir(tmp_path)) == before
