"""Auxiliary files (locks, claims): s2st never opens or changes a file that it did not write."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from s2st.errors import OutputError
from s2st.process.lock_files import AuxiliaryFile, open_locked

KNOWN = re.compile(rb"magic [0-9]+\n")


def opened(path, known=KNOWN):
    return AuxiliaryFile(path, known, "notebook", "name another --output")


def stranger(kind, tmp_path):
    """A path with something of a user's; what of it must not change, and words of the message."""
    path, other = tmp_path / "notes", tmp_path / "precious"
    other.write_bytes(b"precious")
    if kind == "link":
        path.symlink_to(other)
        return path, "a symbolic link to"
    if kind == "dangling link":
        path.symlink_to(tmp_path / "made")
        return path, "a symbolic link to"
    if kind == "link to the null device":
        path.symlink_to("/dev/full")
        return path, "a symbolic link to"
    if kind == "hard link":
        os.link(other, path)
        return path, "a file with 2 names"
    if kind == "fifo":
        os.mkfifo(path)
        return path, "a FIFO"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        return path, "a socket"
    if kind == "folder":
        path.mkdir()
        return path, "a folder"
    if kind == "device":
        return Path("/dev/full"), "a device"
    path.write_bytes(b"some notes of a user\n")
    return path, "a file that s2st did not write"


KINDS = (
    "link", "dangling link", "link to the null device", "hard link", "fifo", "socket", "folder",
    "device", "file",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_s2st_did_not_write_is_refused_in_one_line_and_not_changed(kind, tmp_path):
    path, words = stranger(kind, tmp_path)
    before = os.lstat(path)
    with pytest.raises(OutputError) as caught:
        opened(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: this is {words}")
    assert line.endswith(
        "s2st keeps its notebook under this name; move it, or name another --output"
    )
    assert "\n" not in line
    after = os.lstat(path)
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "made").exists()


def test_a_new_an_empty_and_an_own_file_are_opened_as_they_are(tmp_path):
    path = tmp_path / "notes"
    for content in (None, b"", b"magic 1\nmore\n"):
        if content is not None:
            path.write_bytes(content)
        file = opened(path)
        assert file.stream.read() == (content or b"")
        file.close()
        assert path.read_bytes() == (content or b"")
    file = opened(path)
    file.rewrite(b"magic 2\n")
    file.close()
    assert path.read_bytes() == b"magic 2\n"


def test_a_file_that_stays_empty_has_to_be_empty(tmp_path):
    (tmp_path / "claims").write_bytes(b"x")
    with pytest.raises(OutputError, match="did not write"):
        opened(tmp_path / "claims", None)
    opened(tmp_path / "other", None).close()


def test_one_process_holds_the_lock(tmp_path):
    path = tmp_path / "notes"
    held = open_locked(path, KNOWN, "notebook", "wait")
    assert held is not None
    assert open_locked(path, KNOWN, "notebook", "wait") is None
    held.close()
    again = open_locked(path, KNOWN, "notebook", "wait")
    assert again is not None
    again.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "link", "folder"])
def test_a_path_that_is_another_file_by_now_is_seen_and_left_alone(how, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "notes"
    held = open_locked(path, KNOWN, "notebook", "wait")
    assert held is not None
    assert held.in_place()
    if how == "folder":
        folder.rename(tmp_path / "old")
        folder.mkdir()
    else:
        path.unlink()
    if how in ("replaced", "folder"):
        path.write_bytes(b"another's")
    elif how == "link":
        path.symlink_to(tmp_path / "precious")
    assert not held.in_place()
    held.remove()
    assert path.is_symlink() or how == "removed" or path.read_bytes() == b"another's"
    held.close()


def test_a_lock_is_never_that_of_a_removed_file(tmp_path):
    """Processes that take turns and remove the file each time: never two at once."""
    script = (
        "import os, re, sys\n"
        "from pathlib import Path\n"
        "from s2st.process.lock_files import open_locked\n"
        "path, busy = Path(sys.argv[1]) / 'notes', Path(sys.argv[1]) / 'busy'\n"
        "done = 0\n"
        "while done < 200:\n"
        "    file = open_locked(path, re.compile(b'x'), 'notebook', 'wait')\n"
        "    if file is not None:\n"
        "        os.close(os.open(busy, os.O_CREAT | os.O_EXCL))\n"
        "        os.unlink(busy)\n"
        "        file.remove()\n"
        "        file.close()\n"
        "        done += 1\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, tmp_path]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


def test_a_full_disk_leaves_a_file_that_is_recognised(tmp_path, monkeypatch):
    """`/dev/full` cannot stand in, being refused; a write of more than a limit can."""
    script = (
        "import re, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from s2st.process.lock_files import AuxiliaryFile\n"
        "from s2st.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = Path(sys.argv[1])\n"
        "file = AuxiliaryFile(path, re.compile(b'magic'), 'notebook', 'wait')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3, 3))\n"
        "try:\n"
        "    file.rewrite(b'magic 1')\n"
        "except OutputError as error:\n"
        "    print(error)\n"
        "file.close()\n"
    )
    path = tmp_path / "notes"
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{path}: cannot be written: File too large\n"
    assert path.read_bytes() == b""
    opened(path).close()
