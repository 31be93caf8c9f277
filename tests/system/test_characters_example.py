"""Addition and dates: the pairs are right, and the example runs at toy size."""

import random
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "characters"


@pytest.fixture
def tasks(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import tasks

    yield tasks
    del sys.modules["tasks"]


def test_sums_are_right(tasks):
    draw = random.Random(3)
    for question, answer in (tasks.addition(draw) for _ in range(200)):
        assert eval(question) == int(answer)  # digits and one +


def test_every_notation_names_its_day(tasks):
    draw = random.Random(3)
    for question, answer in (tasks.dates(draw) for _ in range(300)):
        day = date.fromisoformat(answer)
        numbers = {int(n) for n in re.findall(r"\d+", question)}
        assert day.day in numbers
        assert {day.year, day.year % 100} & numbers
        month = day.strftime("%B").lower()  # English in the C locale
        assert month[:3] in question or day.month in numbers
        if "day," in question:
            assert question.startswith(day.strftime("%A").lower())


def test_no_question_is_in_two_splits(tasks):
    splits = tasks.draw_splits("addition", 500, 100, seed=1)
    assert [len(splits[name]) for name in ("train", "valid", "test")] == [500, 100, 100]
    assert len({source for pairs in splits.values() for source, _ in pairs}) == 700


@pytest.mark.extensive
def test_the_example_at_toy_size(tmp_path):
    command = [sys.executable, FOLDER / "run.py", "--run", tmp_path / "run", "--pairs", "100"]
    command += ["--epochs", "2", "--task", "dates", "--comparison", "teacher-forcing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "run/dates-teacher-forcing.md").read_text()
    assert table == done.stdout.removesuffix("\n")
    rows = re.findall(r"\| (teacher forcing \w+) \| ([\d.]+) \| ([\d.]+) \|", table)
    assert [row[0].split()[-1] for row in rows] == ["on", "half", "off"]
    assert (tmp_path / "run/dates-teacher-forcing.svg").exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.stdout == done.stdout
    assert "$ s2st" not in again.stderr
