"""metrics.jsonl: what its lines say, and that stops and kills neither lose nor repeat one."""

import json
import math

import numpy as np
import pytest
import torch
from tampering import reseal
from trainers import STILL, VALID, trainer

from s2st.data.batch_loader import load_batch
from s2st.errors import CheckpointError, InterruptedBySignalError, OutputError
from s2st.process import durable_files
from s2st.training.checkpoint import read_run
from s2st.training.metrics_file import MEASURED, NAME, MetricsFile, perplexity
from s2st.training.observer import Meter, Observer, Observers


class Killed(BaseException):
    """Stands for SIGKILL; tests/faults sends real ones."""


def lines(folder):
    """The records without speed and memory."""
    records = [json.loads(line) for line in (folder / NAME).read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in MEASURED} for record in records]


def run_once(folder, stop=None, **options):
    """Trains, or resumes, with the file; `stop` is the update at which SIGTERM comes."""
    folder.mkdir(exist_ok=True)
    run = trainer(folder, **options)
    run.stop_signal = lambda: 15 if run.state.update == stop else 0
    metrics = MetricsFile(folder, lambda: None)
    run.observer = Observers([Observer(), metrics])
    try:
        if (folder / "checkpoint_last").exists():
            run.restore(read_run(folder / "checkpoint_last"))
        return run.train()
    except InterruptedBySignalError:
        return None
    finally:
        metrics.close()


SETTINGS = {
    "every update": {"max_epoch": 2.0},
    "intervals that saves cut": {
        "max_epoch": 3.0, "log_interval": 5, "save_interval_updates": 3,
        "validate_interval_updates": 4, "optimizer": "adam", "schedule": "plateau",
    },
    "rare": {"max_epoch": 2.0, "log_interval": 100, "save_interval_updates": 1},
    "validated after it was saved": {
        "max_epoch": None, "max_update": 8, "save_interval_updates": 2, "log_interval": 3,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_a_stopped_and_resumed_run_has_the_lines_of_a_straight_one(tmp_path, options):
    run_once(tmp_path / "straight", **options)
    for stop in (1, 4, 6, 7, None):
        run_once(tmp_path / "stopped", stop, **options)
    assert lines(tmp_path / "stopped") == lines(tmp_path / "straight")


@pytest.mark.slow
def test_a_run_killed_at_any_durable_operation_has_the_lines_of_a_straight_one(
    tmp_path, monkeypatch
):
    options, count = SETTINGS["intervals that saves cut"], []
    monkeypatch.setattr(durable_files, "_observe", lambda *_: count.append(1))
    run_once(tmp_path / "straight", **options)
    for number in range(1, len(count), len(count) // 8):
        folder, left = tmp_path / str(number), iter(range(number))

        def kill(*_, left=left):
            if next(left, None) is None:
                raise Killed

        monkeypatch.setattr(durable_files, "_observe", kill)
        with pytest.raises(Killed):
            run_once(folder, **options)
        monkeypatch.setattr(durable_files, "_observe", None)
        run_once(folder, **options)
        assert lines(folder) == lines(tmp_path / "straight"), number


def test_each_report_has_a_line_with_its_numbers(tmp_path):
    run = trainer(tmp_path, config=STILL, max_epoch=1.0, lr=0.0)
    metrics = MetricsFile(tmp_path, lambda: None)
    run.observer = metrics
    (batch, *_), loader = run._loader.plan(0), run._loader
    output = run.parts.criterion(run.parts.model, loader.load(batch))
    (output.loss_sum / len(batch)).backward()
    norm = math.sqrt(
        sum(float(p.grad.double().square().sum()) for p in run.parts.model.parameters())
    )
    run.train()
    *updates, validation = lines(tmp_path)
    nll = float(output.nll_sum.detach()) / output.token_count
    assert [line["update"] for line in updates] == list(range(1, 7))
    assert updates[0] == {
        "event": "update", "update": 1, "epoch": pytest.approx(1 / 6), "learning_rate": 0.0,
        "loss": pytest.approx(nll, rel=1e-5), "nll": pytest.approx(nll, rel=1e-5),
        "perplexity": pytest.approx(math.exp(nll), rel=1e-5),
        "gradient_norm": pytest.approx(norm, rel=1e-4),
    }  # fmt: skip
    whole = load_batch(VALID, np.arange(5))
    expected = run.parts.criterion(run.parts.model.eval(), whole)
    expected = math.exp(float(expected.nll_sum) / whole.target_tokens)
    assert validation["event"] == "validation"
    assert validation["perplexity"] == pytest.approx(expected, rel=1e-5)
    assert (validation["best"], validation["metrics"]) == (True, {})


def test_speed_and_memory_are_measured(tmp_path):
    run_once(tmp_path, max_epoch=1.0)
    first = json.loads((tmp_path / NAME).read_text().splitlines()[0])
    assert {*MEASURED} <= first.keys()
    assert first["target_words_per_second"] > 0
    assert 1e7 < first["memory_bytes"] < 1e12  # torch alone takes some 100 MB


def test_a_divergence_that_restores_a_checkpoint_repeats_no_line(tmp_path):
    """The weights are spoiled once, after update 8; update 6 has the last checkpoint."""
    run = trainer(tmp_path, max_epoch=2.0, on_divergence="restore")
    spoiled = []

    class Spoiler(MetricsFile):
        def updated(self, report):
            super().updated(report)
            if report.update == 8 and not spoiled:
                spoiled.append(True)
                with torch.no_grad():
                    next(run.parts.model.parameters()).fill_(math.nan)

    run.observer = Spoiler(tmp_path, lambda: None)
    run.train()
    assert spoiled
    assert run.state.divergences == 1
    updates = [line["update"] for line in lines(tmp_path) if line["event"] == "update"]
    assert updates == list(range(1, 13))
    assert run.state.reports == len(lines(tmp_path)) == 14


def test_lines_that_a_user_removed_are_not_missed(tmp_path):
    run_once(tmp_path, max_epoch=1.0)
    (tmp_path / NAME).unlink()
    run_once(tmp_path, max_epoch=2.0)
    assert [line["update"] for line in lines(tmp_path)] == [7, 8, 9, 10, 11, 12, 12]


@pytest.mark.parametrize("content", ["mine\n", '{"update": 3}\n', "[1]"])
def test_a_file_of_a_user_is_refused_and_stays(tmp_path, content):
    (tmp_path / NAME).write_text(content)
    with pytest.raises(OutputError, match="s2st did not write; s2st keeps its metrics under this"):
        run_once(tmp_path, max_epoch=1.0)
    assert (tmp_path / NAME).read_text() == content


@pytest.mark.parametrize("torn", [b"", b"\0\0\0", b'{"ev', b'{"event": "update", "upd', b"{\0\0"])
def test_what_a_power_loss_leaves_of_the_first_line_is_written_again(tmp_path, torn):
    (tmp_path / NAME).write_bytes(torn)
    run_once(tmp_path, max_epoch=1.0)
    assert [line["update"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5, 6, 6]


def test_a_perplexity_beyond_floats_is_null():
    assert perplexity(710.0) is None
    assert perplexity(math.inf) is None
    assert perplexity(1.0) == math.e


def test_an_interrupted_interval_continues_with_the_same_sums():
    whole, first = Meter(), Meter()
    updates = [(5.3, 4.1, 7, 9, 0.3, 1.0), (2.7, 2.5, 3, 4, 0.1, 1.0), (1.1, 0.7, 5, 6, 0.7, 1.0)]
    for update in updates:
        whole.add(*update)
    for update in updates[:2]:
        first.add(*update)
    second = Meter(json.loads(json.dumps(first.state())))
    second.add(*updates[2])
    assert second.state() == whole.state()
    one, other = whole.report(3, 1.0, 0.1, None), second.report(3, 1.0, 0.1, None)
    assert (one.loss, one.nll, one.gradient_norm) == (other.loss, other.nll, other.gradient_norm)
    assert one.target_words_per_second == pytest.approx(19 / 3)
    assert other.target_words_per_second == 6.0  # of the second process's own update


@pytest.mark.parametrize(
    "interval",
    [{"loss": math.nan}, {"loss": math.inf}, {"loss": "1"}, {"hair": 1}, {"updates": 10**30}, [1]],
)
def test_sums_that_no_run_can_have_are_refused(tmp_path, interval):
    trainer(tmp_path, max_epoch=1.0).train()
    last = (tmp_path / "checkpoint_last").resolve()
    path = last / "training" / "state.json"
    content = json.loads(path.read_text())
    content["state"]["interval"] = interval
    path.write_text(json.dumps(content))
    reseal(last)
    with pytest.raises(CheckpointError, match="damaged training state"):
        read_run(last)
