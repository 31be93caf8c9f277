"""`make torture` in its short form, and its model of a disk."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from disk import Disk, outages

from s2st.process import durable_files

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "faults"))
from harness import Fault  # noqa: E402


@pytest.mark.extensive
def test_the_short_torture_run_loses_nothing():
    command = [sys.executable, str(HERE / "run.py"), "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr[-9000:]
    rows = re.findall(r"^\| .*\| +(\d+) \| +(\d+) \| +(\d+) \|$", done.stdout, re.MULTILINE)
    assert len(rows) >= 6
    for cases, survived, lost in rows:
        assert int(cases) == int(survived) > 0
        assert int(lost) == 0


def logged(tmp_path, monkeypatch, work):
    """A disk on which `work` was done below tmp_path/disk, all of it performed."""
    root = tmp_path / "disk"
    root.mkdir()
    monkeypatch.setattr(durable_files, "_observe", Fault(f"log:{tmp_path / 'log'}"))
    work(root)
    disk = Disk(root, tmp_path / "log")
    for _ in disk.operations:
        disk.step()
    return disk


def found(disk, tmp_path):
    """What the three certain outages leave of the file a: its content, None where it is gone."""
    contents = []
    for index, outage in enumerate(outages(None, 0)):
        disk.rebuild(tmp_path / str(index), outage)
        path = tmp_path / str(index) / "a"
        contents.append(path.read_bytes() if path.exists() else None)
    return contents


def test_a_synced_file_survives(tmp_path, monkeypatch):
    disk = logged(
        tmp_path, monkeypatch, lambda root: durable_files.replace_file(root / "a", b"new")
    )
    assert found(disk, tmp_path) == [b"new", b"new", b"new"]


def test_a_rename_that_is_not_synced_may_be_undone(tmp_path, monkeypatch):
    def work(root):
        durable_files.write_file(root / "b", b"new")
        durable_files.rename(root / "b", root / "a")

    assert found(logged(tmp_path, monkeypatch, work), tmp_path) == [None, b"new", b"new"]


def test_content_that_is_not_synced_may_be_lost_though_its_name_is_there(tmp_path, monkeypatch):
    def work(root):
        writer = durable_files.Writer(root / "a")
        writer.write(b"new")
        durable_files.sync_folder(root)

    assert found(logged(tmp_path, monkeypatch, work), tmp_path) == [b"", b"new", b""]
