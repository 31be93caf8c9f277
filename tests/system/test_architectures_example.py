"""The comparison of architectures at toy size: its table, and that a second run repeats nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "architectures"


def run(folder, *arguments):
    command = [sys.executable, FOLDER / "run.py", "--run", folder, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def word_for_word(folder):
    """Each word's most probable translation, by a search through the whole lexicon."""

    def value(entry):
        return float(entry[2])

    entries = [line.split("\t") for line in (folder / "models/lexicon/en-fr.tsv").open()]
    made = []
    for line in (folder / "data/test.en").read_text().splitlines():
        choices = [
            max((e for e in [*entries, (w, w, "-1")] if e[0] == w and e[1] != "<unk>"), key=value)[
                1
            ]
            for w in line.split()
        ]
        made.append(" ".join(choices))
    return made


@pytest.mark.extensive
def test_the_table_of_a_toy_comparison(tmp_path):
    plan = ["--plan", FOLDER / "plan-smoke.toml", "--jobs", "1"]
    done = run(tmp_path / "run", *plan)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    table = {row[0].removeprefix("| "): row[1:] for row in rows}
    assert (tmp_path / "run" / "results.md").read_text() == done.stdout
    forward = table["LSTM, forward"]
    sizes = (tmp_path / "run" / "logs" / "train-lstm-forward.log").read_text()
    assert f"{forward[0]} parameters" in sizes
    for label in ("LSTM, forward", "LSTM with attention, right to left"):
        for cell in table[label][2:5]:
            value, low, high = map(float, re.findall(r"[\d.]+", cell)[:3])
            assert low <= value <= high
    assert table["LSTM language model"][3] == ""  # translates nothing
    assert table["3-gram language model"][0].endswith("n-grams")
    assert table["word for word"][0].endswith("word pairs")
    assert table["word for word"][2] == table["word for word"][4].rstrip(" |") == ""
    words = word_for_word(tmp_path / "run")
    assert words == (tmp_path / "run/out/word-for-word.fr").read_text().splitlines()
    best = table["4 of these, a channel model and the length, tuned together"]
    assert re.match(r"[\d.]+ \[", best[-1])
    again = run(tmp_path / "run", *plan)
    assert again.returncode == 0
    assert "$ s2st" not in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.slow
def test_a_plan_that_is_not_whole_is_one_line(tmp_path):
    (tmp_path / "plan.toml").write_text('nbest = 5\nrows.a = { label = "A" }\n')
    done = run(tmp_path / "run", "--plan", tmp_path / "plan.toml")
    assert done.returncode == 1
    assert "not a plan" in done.stderr
    assert "Traceback" not in done.stderr
