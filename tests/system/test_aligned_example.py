"""examples/aligned runs as its README says, on little data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "aligned" / "run.py"


@pytest.mark.extensive
def test_two_languages_one_of_which_is_refused(tmp_path):
    arguments = ["--pairs", "60", "--epochs", "1", "--task", "cipher", "--task", "dropping"]
    command = [sys.executable, str(SCRIPT), "--run", str(tmp_path / "run"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    head, _, cipher, dropping = ([c.strip() for c in line.strip("|").split("|")]
                                 for line in done.stdout.splitlines())  # fmt: skip
    assert head == ["words right, %", "aligned-rnn", "lstm-reversed"]
    assert cipher[0] == "cipher"
    assert all(0 <= float(cell) <= 100 for cell in cipher[1:])
    assert dropping[:2] == ["dropping", "refused"]
    assert 0 <= float(dropping[2]) <= 100
    # the pair that the message names is not of equal length
    told = re.search(r"error: pair (\d+) has (\d+) source and (\d+) target", done.stderr)
    assert told, done.stderr
    number, source, target = map(int, told.groups())
    folder = tmp_path / "run" / "dropping"
    lengths = [
        len((folder / f"train.{side}").read_text().splitlines()[number - 1].split())
        for side in ("x", "y")
    ]
    assert [source, target] == lengths
    assert source != target
    assert done.stderr.count("$ s2st ") == 2 + 4 + 3  # preprocess, train, generate
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1
    assert "already exists" in again.stderr
