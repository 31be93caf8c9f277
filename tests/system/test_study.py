"""The study of examples/sutskever2014 at its smallest scale: stop, resume, and report."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2st.jobs.text_metrics import tokenized_bleu
from s2st.training.save_folder_lock import hold_folder

pytestmark = pytest.mark.extensive
ROOT = Path(__file__).parents[2]
STUDY = ROOT / "examples" / "sutskever2014" / "run.py"
LIMIT = 900


def start(*arguments, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(STUDY), *map(str, arguments)], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """(run folder, stderr) of a study that SIGTERM stopped while models were training."""
    run = tmp_path_factory.mktemp("study") / "run"
    process = start("--scale", "smoke", "--run", run)
    until = time.monotonic() + LIMIT
    while len(list((run / "steps").glob("train-*.json"))) < 3 and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 128 + signal.SIGTERM, err
    assert out == ""
    assert "run the same command again to resume" in err
    return run, err


@pytest.fixture(scope="module")
def study(stopped):
    """(run folder, stdout, stderr of the stopped run, stderr of the run that went on)."""
    run, before = stopped
    code, out, err = finish(start("--scale", "smoke", "--run", run))
    assert code == 0, err
    return run, out, before, err


def begun(text):
    return re.findall(r"\] (\S+)\$ s2st ", text)


def ended(text):
    return re.findall(r"\] (\S+): done, ", text)


def test_a_stopped_study_does_only_what_is_left(study):
    _, _, before, after = study
    assert ended(before)
    assert not set(ended(before)) & set(begun(after))
    assert {*ended(before), *ended(after)} >= {"preprocess", "train-reversed-3", "analyze-states"}
    assert len(ended(before)) + len(ended(after)) == len({*ended(before), *ended(after)})


def test_a_finished_study_has_nothing_to_do_and_says_the_same(study):
    run, out, _, _ = study
    page = (run / "report.html").read_bytes()
    code, again, err = finish(start("--scale", "smoke", "--run", run))
    assert code == 0
    assert not begun(err)
    assert again == out == (run / "results.md").read_text()
    assert (run / "report.html").read_bytes() == page


def test_the_tables_hold_every_system_and_the_figures_of_the_commands(study):
    run, out, _, _ = study
    for row in ("vanilla RNN", "forward LSTM", "reversed LSTM", "3 reversed LSTMs",
                "rescored by a reversed LSTM, even average", "oracle by corpus BLEU", "bucketed",
                "its own choice", "tuned on the validation lists"):  # fmt: skip
        assert f"| {row}" in out or row in out, row
    assert re.search(r"\| (held|not held|not significant) \|", out)
    rnn = next(line for line in out.splitlines() if line.startswith("| vanilla RNN |"))
    cells = [cell.strip() for cell in rnn.strip("|").split("|")]
    hypotheses = (run / "out/rnn-1.beam4.fr").read_text().splitlines()
    references = (run / "data/test.fr").read_text().splitlines()
    assert cells[5].startswith(f"{tokenized_bleu(hypotheses, [references]).score:.2f} [")
    log = (run / "logs/score-rnn-1.log").read_text()
    perplexity = float(re.search(r"perplexity ([\d.]+)", log)[1])
    assert cells[2].startswith(f"{perplexity:.2f} [")


def test_the_report_holds_tables_figures_samples_and_commands(study):
    run, _, _, _ = study
    report = json.loads((run / "report.json").read_text())
    kinds = [item["kind"] for section in report["sections"] for item in section["items"]]
    assert kinds.count("figure") >= 11
    assert {"table", "figure", "samples", "commands"} == set(kinds)
    for section in report["sections"]:
        for item in section["items"]:
            if item["kind"] == "figure":
                assert (run / item["path"]).is_file()
                assert (run / item["path"]).with_suffix(".png").is_file()
    page = (run / "report.html").read_text()
    assert page.count("<figure") >= 11
    assert "http" + "://" not in re.sub(r'base64,[^"]*', "", page)


def test_a_changed_text_does_again_what_depends_on_it_only(study, tmp_path):
    run, _, _, _ = study
    process = start("--scale", "smoke", "--run", run)
    assert finish(process)[0] == 0
    (run / "out/forward-1.beam1.fr").unlink()
    code, _, err = finish(start("--scale", "smoke", "--run", run))
    assert (code, begun(err)) == (0, ["generate-forward-1-beam1"])


@pytest.fixture
def refused(tmp_path):
    """Starts a study in tmp_path/run that cannot go on: its one line, and exit code."""

    def run(*arguments, **more):
        code, out, err = finish(start(*arguments, "--run", tmp_path / "run", **more))
        assert out == ""
        assert len(err.strip().splitlines()) == 1, err
        return code, err

    return run


def test_mistakes_are_one_line(refused, tmp_path):
    code, err = refused("--scale", "nothing")
    assert code == 1
    assert "nothing.toml" in err
    code, err = refused("--data", tmp_path)
    assert code == 1
    assert "train.en" in err
    shutil.rmtree(tmp_path / "run/data")
    (tmp_path / "run/data").write_text("in the way")
    code, err = refused()
    assert code == 1
    assert "run/data" in err


def test_two_studies_in_one_folder_are_refused(refused, tmp_path):
    with hold_folder(tmp_path / "run"):
        code, err = refused("--scale", "smoke")
    assert code == 74
    assert f"process {os.getpid()}" in err


def test_without_matplotlib_nothing_is_begun(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, str(STUDY), "--scale", "smoke", "--run", str(tmp_path / "run")],
        env=environment, text=True, capture_output=True, timeout=LIMIT,
    )  # fmt: skip
    assert process.returncode == 2
    assert "pip install 's2st[analysis]'" in process.stderr
    assert not (tmp_path / "run").exists()


def test_at_least_one_step_runs_at_a_time(tmp_path):
    code, _, err = finish(start("--scale", "smoke", "--run", tmp_path / "run", "--jobs", "0"))
    assert code == 2
    assert "whole number of at least 1" in err


def test_the_paper_scale_says_what_it_would_take_and_runs_nothing(tmp_path):
    code, out, err = finish(start("--scale", "paper", "--run", tmp_path / "run"))
    assert code == 0
    assert "384,012,000 + 64,000" in out
    assert "hours" in out
    assert "--insist" in err
    assert not (tmp_path / "run").exists()
