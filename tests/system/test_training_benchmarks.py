"""The benchmarks of training run at toy size and say what they should."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from builders import store

FOLDER = Path(__file__).parents[2] / "benchmarks"
QUICK = ["--threads", "1", "--updates", "2", "--batch", "4", "--peak-size", "64", "--width", "6"]


def run(tmp_path, script, *options):
    result = tmp_path / "result.json"
    command = [sys.executable, str(FOLDER / script), *QUICK, *options, "--json", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(result.read_text("utf-8"))["results"]


@pytest.mark.extensive
def test_training(tmp_path):
    data = store(tmp_path / "data")
    shown, (result,) = run(
        tmp_path, "training.py", "--store", data, "--size", "S", "--warm", "1", "--repeats", "2"
    )
    ways = {row["way"]: row for row in result["ways"]}
    assert {"s2st", "all logits held", "random batches"} <= set(ways)
    lines = (tmp_path / "data/train.fr").read_text("utf-8").splitlines()
    lengths = sorted(len(line.split()) + 1 for line in lines)  # with EOS
    for row in ways.values():
        assert len(row["seconds"]) == 2
        words = row["target_words_per_second"] * sum(row["seconds"]) / 2  # median of two
        assert sum(lengths[:8]) - 0.1 < words < sum(lengths[-8:]) + 0.1
        assert row["peak_memory"] > 50e6  # torch itself
    assert "with padding" in shown
    for peer in ("OpenNMT-py", "fairseq", "JoeyNMT", "Marian"):
        assert peer in shown


@pytest.mark.extensive
def test_training_of_the_transformer(tmp_path):
    data = store(tmp_path / "data")
    options = "--store", data, "--size", "T", "--warm", "1", "--repeats", "1"
    shown, (result,) = run(tmp_path, "training.py", *options, "--width", "8")
    assert result["architecture"] == "transformer"
    ways = {row["way"] for row in result["ways"]}
    assert "random batches, padding computed" not in ways  # it is for recurrent models
    assert ("s2st, bfloat16" in ways) != ("s2st, bfloat16: this processor" in shown)


@pytest.mark.extensive
def test_memory(tmp_path):
    _, rows = run(
        tmp_path, "memory.py", "--words", "90/60", "--layers", "2",
        "--optimizer", "sgd", "lazy-adam",
    )  # fmt: skip
    # tables 94 x 6 + 64 x 6, softmax 64 x 6; 2 stacks x 2 layers x (8 x 36 weights + 8 x 6 biases)
    count = 94 * 6 + 64 * 6 + 64 * 6 + 2 * 2 * (8 * 36 + 8 * 6)
    assert [row["parameters"] for row in rows] == [count, count]
    assert [row["optimizer"] for row in rows] == ["sgd", "lazy-adam"]
    operations = 6 * (2 * 8 * 36 * (rows[0]["source_words"] + rows[0]["target_words"]))
    assert rows[0]["operations"] == operations + 6 * 64 * 6 * rows[0]["target_words"]
    assert all(row["peak_memory"] > 50e6 for row in rows)
