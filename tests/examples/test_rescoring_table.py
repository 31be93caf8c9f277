"""examples/multi30k/rescoring_table.py at toy size: all rows; a second run does nothing."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "multi30k" / "rescoring_table.py"
WORDS = ["le", "chat", "dort", "la", "femme", "lit", "."]


@pytest.mark.extensive
def test_the_table_has_every_row_and_is_resumed(tmp_path):
    draw = random.Random(1)
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for name in ("val", "test_2016_flickr"):
        references = [draw.choices(WORDS, k=7) for _ in range(8)]
        lists = []
        for i, words in enumerate(references):
            for _ in range(5):
                wrong = [w if draw.random() < 0.8 else "x" for w in words]
                lists.append(f"{i} ||| {' '.join(wrong)} ||| LM0= 1 ||| {-draw.random()}")
        texts = {f"{name}.en": ["a b"] * 8, f"{name}.fr": [" ".join(r) for r in references]}
        for file, lines in {**texts, f"{name}.1000best": lists}.items():
            (data / file).write_text("".join(f"{line}\n" for line in lines))
    models = []
    for order in (1, 2):
        models.append(tmp_path / f"{order}.arpa")
        train_words = ["train-ngram", data / "val.fr", "--order", str(order), "-o", models[-1]]
        train_words.append("--discount-fallback")
        subprocess.run(
            [sys.executable, "-m", "s2st_cli", *train_words], check=True, env=environment
        )
    command = [
        sys.executable, SCRIPT, "--data", data, "--lists", data, "--run", run, "--top", "4",
        "--options", "--restarts 0 --directions 0 --folds 2",
        *(x for model in models for x in ("--checkpoint", model)),
    ]  # fmt: skip
    first, again = (
        subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert again.stdout == first.stdout == (run / "table.md").read_text()
    assert "$ s2st" in first.stderr
    assert "$ s2st" not in again.stderr
    rows = first.stdout.splitlines()
    assert len(rows) == 2 + 1 + 9 + 1  # head, baseline, ways, oracle
    assert all(row.count("|") == 5 for row in rows)
    assert len((run / "val.baseline.nbest").read_text().splitlines()) == 8 * 4
    assert "S2ST1=" not in (run / "val.one.nbest").read_text()
    assert "S2ST1=" in (run / "val.several.nbest").read_text()
