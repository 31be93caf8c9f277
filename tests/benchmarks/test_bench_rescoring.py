"""benchmarks/rescoring.py at toy size: every variant runs, and its counts are correct."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "rescoring.py"


@pytest.mark.extensive
@pytest.mark.parametrize("size", ["S", "T"])
def test_ways_and_counts(tmp_path, size):
    (tmp_path / "src").write_text("a b\nc\n")
    (tmp_path / "tgt").write_text("v w x\nw\n")
    lists = ["0 ||| v w ||| ||| -1", "0 ||| v x ||| ||| -2", "1 ||| w ||| ||| -1"]
    (tmp_path / "lists").write_text("".join(f"{line}\n" for line in lists))
    command = [
        sys.executable, SCRIPT, "--lists", tmp_path / "lists", "--source", tmp_path / "src",
        "--train-source", tmp_path / "src", "--train-target", tmp_path / "tgt", "--size", size,
        "--repeats", "1", "--json", tmp_path / "result",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads((tmp_path / "result").read_text("utf-8"))["results"]
    assert result["hypotheses"] == 3
    assert result["positions"] == 3 + 3 + 2  # EOS counted
    # rows: the start, "v", "v w", "v x" of the first list; the start and "w" of the second
    assert result["rows"] == 4 + 2
    assert len(result["ways"]) >= 4
