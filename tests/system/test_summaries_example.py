"""The example of summaries at toy size."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "summaries"


def test_a_headline_has_facts_of_its_report(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import reports

    draw = random.Random(1)
    for text, headline in (reports.report(draw) for _ in range(100)):
        winner, loser, high, low, city, hero = re.fullmatch(
            r"(the \w+) beat (the \w+) (\d) to (\d) in (\w+) , (\w+) decides", headline
        ).groups()
        assert int(high) > int(low)
        for fact in (winner, loser, city):
            assert fact in text
        assert re.search(rf"decisive goal came from {hero} |{hero} scored the decisive", text)


@pytest.mark.extensive
def test_the_example_at_toy_size(tmp_path):
    pytest.importorskip("rouge_score")
    command = [sys.executable, FOLDER / "run.py", "--run", tmp_path / "run"]
    command += ["--pairs", "60", "--epochs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/results.md").read_text() == done.stdout
    rows = re.findall(r"(?m)^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", done.stdout)
    assert [row[0] for row in rows] == [
        "the first sentence",
        "reversed LSTM",
        "LSTM with attention",
    ]
    for _, one, two, longest in rows:
        assert float(two) <= float(longest) <= float(one) <= 100
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.stdout == done.stdout
    assert "train" not in re.findall(r"\$ s2st (\S+)", again.stderr)
