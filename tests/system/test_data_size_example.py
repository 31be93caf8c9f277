"""The comparison by amount of data at toy size: budget, resuming, table."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s2st.demo_corpus import read_corpus

FOLDER = Path(__file__).parents[2] / "examples" / "data_size"
PLAN = """
beam = 2
lenpen = [0, 1]
train = { hidden-size = 8, embedding-size = 8, layers = 1, patience = 3 }
corpora.small = { label = "80 pairs", folders = ["a", "b"], languages = ["en", "fr"], pairs = 80,
  pieces = 60, bleu = "13a" }
models.words = { label = "words", tokenizer = "none", options = { max-epoch = 2 } }
models.pieces = { label = "pieces", tokenizer = "sentencepiece", options = { max-epoch = 100_000 } }
""".replace(",\n ", ",")


@pytest.fixture
def run(tmp_path):
    made = read_corpus(120, 12, 1)
    for name, part in (("a", slice(0, 60)), ("b", slice(60, 120))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for language, side in (("en", "source"), ("fr", "target")):
            for split, pairs in (("train", made.train[part]), ("valid", made.valid)):
                lines = "".join(f"{getattr(pair, side)}\n" for pair in pairs)
                (tmp_path / "data" / name / f"{split}.{language}").write_text(lines)
    (tmp_path / "plan.toml").write_text(PLAN)

    def start(*arguments):
        command = [sys.executable, FOLDER / "run.py", "--run", tmp_path / "run"]
        command += ["--plan", tmp_path / "plan.toml", "--data", tmp_path / "data", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    return start


@pytest.mark.extensive
def test_cells_are_files_that_a_second_run_uses(run, tmp_path):
    done = run("--budget", "0.1")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [re.split(r" *\| *", line)[1:-1] for line in done.stdout.splitlines()[2:4]]
    assert [row[:2] for row in rows] == [["80 pairs", "words"], ["80 pairs", "pieces"]]
    assert [row[-1] for row in rows] == ["by itself", "by the budget"]
    assert (tmp_path / "run" / "results.md").read_text() == done.stdout
    texts = tmp_path / "run" / "text" / "small"
    assert [len((texts / f"{name}.en").read_text().splitlines()) for name in
            ("train", "valid", "test")] == [80, 12, 12]  # fmt: skip
    score = [sys.executable, "-m", "s2st_cli", "score", tmp_path / "run/out/small.words.1.fr"]
    score += ["--ref", texts / "test.fr"]
    printed = subprocess.run(score, capture_output=True, text=True, timeout=60).stdout
    assert f"= {rows[0][3]} " in printed
    again = run("--budget", "0.1")
    assert again.stdout == done.stdout
    assert "$ s2st" not in again.stderr
    # more budget trains the same model further
    path = tmp_path / "run" / "cells" / "small.pieces.json"
    before = json.loads(path.read_text())["seconds"]
    more = run("--budget", "0.2")
    assert more.returncode == 0, more.stderr[-3000:]
    assert "resuming from" in more.stderr
    assert "words" not in re.findall(r"\$ s2st train .*", more.stderr)[0]
    assert json.loads(path.read_text())["seconds"] > before


@pytest.mark.slow
def test_mistakes_are_one_line(run, tmp_path):
    done = run("--corpus", "large")
    assert (done.returncode, done.stderr) == (1, "error: --corpus: the plan has small\n")
    (tmp_path / "data" / "b" / "valid.fr").unlink()
    done = run()
    assert done.returncode == 1
    assert "valid.fr.gz: no such file" in done.stderr
    (tmp_path / "plan.toml").write_text("beam = 2\n")
    done = run()
    assert "not a plan" in done.stderr
    assert "Traceback" not in done.stderr
