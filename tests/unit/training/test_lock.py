"""The lock of a save folder: one process at a time uses it."""

import os
import subprocess
import sys

import pytest

from s2st.errors import OutputError
from s2st.training.save_folder_lock import hold_folder, hold_work_folder

HOLD = """
import sys, time
from pathlib import Path
from s2st.training.save_folder_lock import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_process_says_who_holds_it(tmp_path, holder):
    with (
        pytest.raises(OutputError, match=f"process {holder.pid} on .* since 20") as caught,
        hold_folder(tmp_path / "run"),
    ):
        pass
    assert "another --save-dir" in str(caught.value)
    with hold_folder(tmp_path / "other"):  # another folder is free
        pass


def test_a_killed_owner_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    with hold_folder(tmp_path / "run"):
        text = (tmp_path / "run" / ".lock").read_text()
        assert f"process {os.getpid()} on" in text
    with hold_folder(tmp_path / "run"):
        pass


def test_many_runs_at_once_own_the_folder_one_at_a_time(tmp_path):
    """Fifty processes at once: each that got in wrote its two lines with nobody between them."""
    script = HOLD.replace(
        'print("held", flush=True)\n    time.sleep(60)',
        "log = open(sys.argv[1] + '/log', 'a')\n"
        "    log.write('in\\n'); log.flush(); time.sleep(0.02)\n"
        "    log.write('out\\n'); log.close()",
    )
    fork = (
        "import os, sys\nsource = sys.argv[2]\n"
        "children = []\n"
        "from s2st.training import save_folder_lock\nfrom s2st.errors import OutputError\n"
        "for _ in range(50):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        try:\n            exec(source)\n"
        "        except OutputError:\n            os._exit(9)\n"
        "        os._exit(0)\n"
        "    children.append(child)\n"
        "codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]\n"
        "print(codes.count(0), codes.count(9))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", fork, tmp_path / "run", script],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    got, refused = map(int, done.stdout.split())
    assert got + refused == 50, done.stderr
    assert got >= 1
    lines = (tmp_path / "run" / "log").read_text().split()
    assert lines == ["in", "out"] * got


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), hold_folder(tmp_path / "file" / "run"):
        pass


def test_a_work_folder_is_new_empty_or_was_one_before(tmp_path):
    """Programs that replace files in their folder at will never start in a user's."""
    (tmp_path / "yours").mkdir()
    (tmp_path / "yours" / "results.md").write_text("mine")
    with (
        pytest.raises(
            OutputError, match=r"yours: contains 'results.md', which s2st did not write.*--run"
        ),
        hold_work_folder(tmp_path / "yours"),
    ):
        pass
    assert os.listdir(tmp_path / "yours") == ["results.md"]
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "empty"):
        with hold_work_folder(tmp_path / name):
            (tmp_path / name / "results.md").write_text("made")
