"""benchmarks/gpu.py at toy size on the simulated device, so that it works when a GPU is there."""

import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
TOY = (
    "--layers 2 --width 8 --source-words 40 --target-words 30 --batch 4 --updates 2 --beam 3 "
    "--sentences 4 --hypotheses 5 --count 2 --repeats 1 --peak-size 16"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "optimizer"), [("bfloat16", "sgd"), ("float32", "lazy-adam")]
)
def test_every_part_runs_on_a_device(sim, tmp_path, monkeypatch, precision, optimizer):
    monkeypatch.syspath_prepend(str(FOLDER))
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr(gpu, "setup_device", lambda config: sim)
    path = tmp_path / "figures.json"
    options = ["--precision", precision, "--optimizer", optimizer, "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *TOY.split(), *options])
    gpu.main()
    rows = json.loads(path.read_text())["results"]
    assert [row["part"] for row in rows] == ["training", "decoding", "rescoring"]
    assert all(row["seconds"] > 0 for row in rows)
