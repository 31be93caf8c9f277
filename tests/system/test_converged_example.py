"""The converged systems at toy size: both tables, and that a second run repeats nothing."""

import gzip
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s2st.demo_corpus import read_corpus

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "converged"


def run(folder, *arguments):
    command = [sys.executable, FOLDER / "run.py", "--run", folder, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def write_lists(path, pairs):
    """Four hypotheses in random order: the reference, and three that lack or exchange words."""
    lines, draw = [], random.Random(1)
    for number, pair in enumerate(pairs):
        words = pair.target.split()
        own_list = [words[:-1], words, words[1::-1] + words[2:], words[:1]]
        draw.shuffle(own_list)
        for rank, own in enumerate(own_list):
            total = -1 - 0.1 * rank
            lines.append(f"{number} ||| {' '.join(own)}  ||| LM0= {-len(own)} ||| {total}\n")
    path.write_bytes(gzip.compress("".join(lines).encode()))


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    made = read_corpus(300, 100, 100)
    write_lists(folder / "val.1000best.gz", made.valid)
    write_lists(folder / "test_2016_flickr.1000best.gz", made.test)
    return folder


@pytest.mark.extensive
def test_both_tables_of_a_toy_plan(tmp_path, lists):
    plan = ["--plan", FOLDER / "plan-smoke.toml", "--jobs", "1", "--lists", lists]
    done = run(tmp_path / "run", *plan)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    table = {row[0].removeprefix("| "): row[1:] for row in rows}
    assert (tmp_path / "run" / "results.md").read_text() == done.stdout
    assert table["reversed LSTM, mean of 2"][0] == "2 2"
    for label in ("LSTM, forward", "reversed LSTMs and GRU"):
        for cell in table[label][2:]:
            assert re.match(r"\d+\.\d\d ± \d+\.\d\d", cell)
    text = "\n".join(done.stdout.split("\n\n")[1:])
    numbers = {a: float(b) for a, b in re.findall(r"(?m)^\| ([^|]+) \| ([\d.]+) \[", text)}
    own = numbers["nothing: their own choice"]
    assert own < numbers["oracle by corpus BLEU"]
    for label in ("gru alone", "all 3 members", "all but lstm", "all 3 members, with consensus"):
        gain = float(table[label][1].split()[0])
        assert numbers[label] - own == pytest.approx(gain, abs=0.011)
    less = float(table["all but gru"][2].split()[0])
    expected = numbers["all but gru"] - numbers["all 3 members"]
    assert less == pytest.approx(expected, abs=0.011)
    again = run(tmp_path / "run", *plan)
    assert again.returncode == 0
    assert "$ s2st" not in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.slow
def test_a_plan_that_is_not_whole_is_one_line(tmp_path):
    (tmp_path / "plan.toml").write_text('beam = 5\nmodels.a = { label = "A" }\n')
    done = run(tmp_path / "run", "--plan", tmp_path / "plan.toml")
    assert done.returncode == 1
    assert "not a plan" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[ensembles]\nboth", "[ensembles]\nreversed-2", "'reversed-2' is the name of a model and"),
        ('gru = ["gru-1"]', 'gru = ["gru-2"]', "no model 'gru-2'"),
        ('models = ["reversed", "gru"]', 'models = ["rnn"]', "no model 'rnn'"),
        ("nbest = { val = 3,", "nbest = {", "nbest does not name 'val'"),
    ],
)
def test_names_of_a_plan_that_do_not_fit_are_one_line(tmp_path, old, new, told):
    text = (FOLDER / "plan-smoke.toml").read_text()
    assert text.count(old) == 1
    (tmp_path / "plan.toml").write_text(text.replace(old, new))
    done = run(tmp_path / "run", "--plan", tmp_path / "plan.toml")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
