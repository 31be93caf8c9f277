"""benchmarks/bfloat16_quality.py at toy size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bfloat16_quality.py"


@pytest.mark.slow
def test_it_prints_the_perplexities_of_the_runs_and_trains_none_twice(tmp_path):
    for split, count in (("train", 12), ("val", 4)):
        for language in "ab":
            lines = "".join(f"{language} {language * (i % 3 + 1)}\n" for i in range(count))
            (tmp_path / f"{split}.{language}").write_text(lines)
    command = [
        sys.executable, SCRIPT, "--data", tmp_path, "--work", tmp_path / "work",
        "--languages", "a", "b", "--seeds", "5", "--epochs", "2", "--",
        "--layers", "1", "--hidden-size", "4", "--embedding-size", "4", "--device", "cpu",
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = []
    for name in ("float32", "bfloat16"):
        text = (tmp_path / "work" / f"{name}-seed5" / "metrics.jsonl").read_text()
        events = [json.loads(line) for line in text.splitlines()]
        expected.append([e["perplexity"] for e in events if e["event"] == "validation"][-1])
    row = first.stdout.splitlines()[2].split()
    assert row[:3] == ["5", *(f"{value:.3f}" for value in expected)]
    assert float(row[3].rstrip("%")) == pytest.approx(
        100 * (expected[1] / expected[0] - 1), abs=0.01
    )
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert "epoch" not in again.stderr
