"""A save folder from somebody else: foreign files with names of s2st's files stay unchanged."""

import os

import pytest

TINY = [
    "--layers", "1", "--hidden-size", "16", "--embedding-size", "16", "--dropout", "0",
    "--max-epoch", "1", "--threads", "1",
]  # fmt: skip
KINDS = {
    "link": "a symbolic link to",
    "full device": "a symbolic link to '/dev/full'",
    "hard link": "a file with 2 names",
    "fifo": "a FIFO",
    "folder": "a folder",
    "file": "a file that s2st did not write",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_that_is_no_lock_is_refused_and_nothing_changes(s2st, world, tmp_path, kind):
    """`ln -s /some/file DIR/.lock; s2st train bin --save-dir DIR` once rewrote /some/file."""
    precious, run = tmp_path / "precious", tmp_path / "run"
    precious.write_text("precious")
    run.mkdir()
    lock = run / ".lock"
    if kind == "link":
        lock.symlink_to(precious)
    elif kind == "full device":
        lock.symlink_to("/dev/full")
    elif kind == "hard link":
        os.link(precious, lock)
    elif kind == "fifo":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        lock.write_text("some notes\n")
    outcome = s2st("train", world.store, "--save-dir", run, *TINY)
    outcome.check_error(74, f"{lock}: this is {KINDS[kind]}", "use another --save-dir")
    assert precious.read_text() == "precious"
    assert os.listdir(run) == [".lock"]
    assert kind != "file" or lock.read_text() == "some notes\n"


def test_a_full_disk_at_the_lock_names_the_lock(shell, world, tmp_path):
    outcome = shell(
        'ulimit -f 0; s2st train "$1" --save-dir "$2" --max-epoch 1', world.store, tmp_path / "run"
    )
    outcome.check_error(74, f"{tmp_path}/run/.lock: cannot be written: File too large")


def test_a_lock_of_an_ended_training_is_taken_over(s2st, world, tmp_path):
    """Also one that an earlier version wrote."""
    (tmp_path / ".lock").write_text("process 12 on a-host.example since 2026-11-20 10:11:12 UTC")
    outcome = s2st("train", world.store, "--save-dir", tmp_path, *TINY)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "checkpoint_best").exists()


def test_weights_on_a_full_disk_leave_no_file(shell, world, tmp_path):
    """`--weights-out` once left an empty file under its final name."""
    (tmp_path / "nbest").write_text("0 ||| le chat ||| A= 1 ||| -1\n0 ||| chat ||| A= 2 ||| -2\n")
    (tmp_path / "src").write_text("the cat\n")
    script = (
        'cd "$1"; ulimit -f 0; s2st rescore-nbest nbest --source src --checkpoint "$2" '
        '--weights-out "$3"'
    )
    for name, old in (("new", None), ("old", b"what was there")):
        if old is not None:
            (tmp_path / name).write_bytes(old)
        before = sorted(os.listdir(tmp_path))
        outcome = shell(script, tmp_path, world.forward, name)
        assert outcome.code == 74, outcome.err
        assert f"s2st: error: {name}: cannot be written: File too large" in outcome.err
        assert sorted(os.listdir(tmp_path)) == before
        assert old is None or (tmp_path / name).read_bytes() == old
