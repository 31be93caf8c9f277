"""Small outputs are written completely or not at all: full disks, devices, links, old files."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from s2st.errors import OutputError
from s2st.rescoring.feature_weights import Weights, read_weights, write_weights
from s2st.text.atomic_text_output import write_whole

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
from s2st.errors import OutputError
from s2st.text.atomic_text_output import write_whole
try:
    write_whole(sys.argv[1], ("a line of text\\n" for _ in range(1000)))
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["out", "out.gz"])
@pytest.mark.parametrize("old", [None, b"what was there before"])
@pytest.mark.parametrize("limit", [0, 10, 80])
def test_a_full_disk_leaves_what_was_there(tmp_path, name, old, limit):
    path = tmp_path / name
    if old is not None:
        path.write_bytes(old)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path, str(limit)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{path}: cannot be written: File too large\n", done.stderr
    assert os.listdir(tmp_path) == ([] if old is None else [name])
    assert old is None or path.read_bytes() == old


def test_a_source_that_fails_leaves_what_was_there(tmp_path):
    def pieces():
        yield "half"
        raise ValueError("mine")

    (tmp_path / "a").write_text("old")
    with pytest.raises(ValueError, match="mine"):
        write_whole(tmp_path / "a", pieces())
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_stays_one_and_permissions_stay(tmp_path):
    (tmp_path / "private").write_text("old")
    (tmp_path / "private").chmod(0o600)
    (tmp_path / "link").symlink_to("private")
    write_whole(tmp_path / "link", ["né", b"w\n"])
    assert os.readlink(tmp_path / "link") == "private"
    assert (tmp_path / "private").read_text("utf-8") == "néw\n"
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_a_device_is_written_to_and_stays(tmp_path):
    before = os.stat("/dev/null")
    write_whole("/dev/null", ["text"])
    (tmp_path / "link").symlink_to("/dev/null")
    write_whole(tmp_path / "link", ["text"])
    assert os.stat("/dev/null").st_rdev == before.st_rdev
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left on device"):
        write_whole("/dev/full", ["text"])
    assert Path("/dev/full").is_char_device()
    assert [name for name in os.listdir("/dev") if ".tmp-" in name] == []


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path):
    """As in a folder that others write to."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".a.tmp-{os.getpid()}").symlink_to("precious")
    write_whole(tmp_path / "a", ["new"])
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / f".a.tmp-{os.getpid()}").is_symlink()


def test_weights_may_be_compressed(tmp_path):
    write_weights(str(tmp_path / "w.gz"), Weights({"A": (0.5, -1.0)}))
    assert gzip.decompress((tmp_path / "w.gz").read_bytes()) == b"[weight]\nA= 0.5 -1.0\n"
    assert read_weights(str(tmp_path / "w.gz")).values == {"A": (0.5, -1.0)}
