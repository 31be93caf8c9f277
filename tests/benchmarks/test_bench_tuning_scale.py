"""benchmarks/tuning_scale.py at toy size: its figures, with lists in memory and in a file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "tuning_scale.py"


@pytest.mark.extensive
def test_figures_of_every_number_of_lists(tmp_path):
    command = [
        sys.executable, SCRIPT, "--lists", "3", "40", "--size", "50", "--features", "2",
        "--memory", "0", "--whole", "--json", tmp_path / "result",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small, large = json.loads((tmp_path / "result").read_text("utf-8"))["results"]
    assert (small["lists"], large["lists"]) == (3, 40)
    assert large["data_mib"] == pytest.approx(40 * 50 * (2 * 8 + 9 * 4) / (1 << 20))
    for found in (small, large):
        assert found["line_s"] > 0
        assert found["line_cpu_s"] > 0
        assert found["whole_s"] >= found["line_s"] / 100
        assert found["resident_mib"] >= found["anonymous_mib"] > 0
    assert done.stdout.count("\n|") == 4
