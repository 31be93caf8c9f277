"""`train --dry-run` and `--max-tokens auto`: real updates, nothing written, a recorded number."""

import json
import re

import pytest
import torch
from builders import corpus, store
from trainers import trainer

from s2st.errors import InterruptedBySignalError, OutOfMemoryError
from s2st.jobs import training_dry_run
from s2st.jobs.train import TRAIN_SPEC, estimate_training, run_training
from s2st.options.resolution import OptionSource, resolve
from s2st.process.memory_use import MemoryUse
from s2st.process.ranks import Ranks
from s2st.training.gradient_accumulation import BatchMemoryError
from s2st.training.observer import Observer
from s2st.training.trainer import Trainer

BASE = {
    "arch": "gru", "layers": 1, "hidden_size": 5, "embedding_size": 4, "dropout": 0.2,
    "max_epoch": 2.0, "lr": 0.01, "device": "cpu",
}  # fmt: skip
MIB = 1 << 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return store(tmp_path_factory.mktemp("data"), pairs=300)


def resolved(folder, **options):
    values = BASE | {"save_dir": str(folder)} | options
    return resolve(TRAIN_SPEC, [OptionSource("test", values)])


def train(data, folder, stop=lambda: 0, **options):
    return run_training(data, resolved(folder, **options), Observer(), stop)


def number(lines, label):
    (line,) = [line for line in lines if line.startswith(f"{label}: ")]
    return float(re.search(r"[\d.,]+", line[len(label) + 1 :])[0].rstrip(".,").replace(",", ""))


def recorded(folder):
    text = (folder / "checkpoint_last" / "training" / "state.json").read_text()
    return json.loads(text)["identity"]["options"]


def test_a_dry_run_reports_and_writes_nothing(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = estimate_training(data, resolved(tmp_path / "never", max_epoch=30.0))
    assert list(tmp_path.iterdir()) == []
    used, available = re.search(r"([\d.]+) GiB of ([\d.]+) GiB", lines[1]).groups()
    assert 0.05 < float(used) < float(available)
    assert number(lines, "speed") > 0
    (time,) = [line for line in lines if line.startswith("time: ")]
    assert "of 5 updates" in time  # 300 pairs by 64
    assert "for --max-epoch 30" in time
    # all 300 pairs in one batch: up to 5 words and the end of the sentence
    assert number(lines, "largest --max-tokens that fits") == 300 * 6
    lines = estimate_training(data, resolved(tmp_path / "never", batch_size=10, max_update=7))
    assert number(lines, "largest --max-tokens that fits") == 10 * 6
    assert "for --max-update 7" in lines[3]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_leaves_a_run_alone(tmp_path, data):
    train(data, tmp_path / "run", max_epoch=1.0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    estimate_training(data, resolved(tmp_path / "run", max_tokens="auto"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_rehearsed_updates_are_the_updates_of_a_training(tmp_path):
    real, rehearsed = trainer(tmp_path / "a", max_update=3), trainer(tmp_path / "b")
    real.train()
    for batch in real._loader.plan(0)[:3]:
        assert rehearsed.rehearse([batch]) > 0
    for left, right in zip(
        real.parts.model.parameters(), rehearsed.parts.model.parameters(), strict=True
    ):
        assert torch.equal(left, right)
    assert not (tmp_path / "b").exists()


def test_auto_is_the_number_of_the_dry_run_and_trains_as_that_number(tmp_path, data):
    found = number(estimate_training(data, resolved(tmp_path / "x")), "--max-tokens auto")
    auto = train(data, tmp_path / "auto", max_tokens="auto")
    assert recorded(tmp_path / "auto")["max_tokens"] == found
    assert recorded(tmp_path / "auto")["batch_size"] is None
    named = train(data, tmp_path / "named", max_tokens=int(found))
    assert auto.update == named.update > 2
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        left, right = (tmp_path / run / "checkpoint_last" / name for run in ("auto", "named"))
        assert left.read_bytes() == right.read_bytes()


def test_a_resumed_run_keeps_the_recorded_number(tmp_path, data, monkeypatch):
    updates = train(data, tmp_path, max_tokens="auto", max_epoch=1.0).update
    kept = recorded(tmp_path)["max_tokens"]
    monkeypatch.setattr(training_dry_run.Rehearsal, "choose_max_tokens", None)  # not called
    assert train(data, tmp_path, max_tokens="auto", max_epoch=2.0).update == 2 * updates
    assert recorded(tmp_path)["max_tokens"] == kept
    assert train(data, tmp_path, max_tokens=kept, max_epoch=3.0).update == 3 * updates


def test_little_memory_gives_small_batches_or_a_clear_error(tmp_path, data, monkeypatch):
    monkeypatch.setattr(training_dry_run, "FIRST_TOKENS", 8)
    peaks = iter(range(100, 10_000, 100))
    monkeypatch.setattr(MemoryUse, "peak", lambda self: next(peaks) * MIB)
    monkeypatch.setattr(MemoryUse, "available", lambda self: 500 * MIB)
    train(data, tmp_path / "run", max_tokens="auto", max_epoch=0.1)
    # 100 MiB at the start, 200 at 8 tokens, so up to 300 at 16: more than half of 100 to 450 MiB
    assert recorded(tmp_path / "run")["max_tokens"] == 28
    monkeypatch.setattr(MemoryUse, "available", lambda self: 5 * MIB)
    with pytest.raises(OutOfMemoryError, match=r"--max-tokens auto: the longest pair .*lower"):
        train(data, tmp_path / "none", max_tokens="auto")


def test_a_signal_ends_the_search(tmp_path, data):
    with pytest.raises(InterruptedBySignalError, match="SIGTERM before the training began"):
        train(data, tmp_path, lambda: 15, max_tokens="auto")
    assert not (tmp_path / "checkpoint_last").exists()


def test_the_peak_covers_memory_that_was_freed():
    use = MemoryUse(torch.device("cpu"))
    use.reset_peak()
    before = use.peak()
    block = bytearray(b"x") * (300 * MIB)
    del block
    assert 0 < before < use.available()
    assert use.peak() >= before + 250 * MIB
    assert MemoryUse(torch.device("cpu"), sharers=4).available() < use.available()


def test_the_memory_of_a_gpu_is_what_torch_reserved_and_what_is_free(monkeypatch):
    """By torch's documented counters; no GPU is needed."""
    called = []
    for name, value in (
        ("empty_cache", None), ("reset_peak_memory_stats", None),
        ("max_memory_reserved", 300 * MIB), ("memory_reserved", 100 * MIB),
        ("mem_get_info", (700 * MIB, 1000 * MIB)),
    ):  # fmt: skip
        monkeypatch.setattr(
            torch.cuda, name, lambda *_, name=name, value=value: (called.append(name), value)[1]
        )
    use = MemoryUse(torch.device("cuda", 0), sharers=8)
    use.reset_peak()
    assert called == ["empty_cache", "reset_peak_memory_stats"]
    assert use.peak() == 300 * MIB
    assert use.available() == 800 * MIB


def test_a_batch_that_does_not_fit_ends_the_search(tmp_path, data, monkeypatch):
    """As on a GPU, where torch raises: at more than 8 pairs."""
    monkeypatch.setattr(training_dry_run, "FIRST_TOKENS", 8)
    real, seen = Trainer.rehearse, [0]

    def rehearse(self, batches):
        seen[0] = sum(len(batch) for batch in batches)
        if seen[0] > 8:
            raise BatchMemoryError("out of memory")
        return real(self, batches)

    monkeypatch.setattr(Trainer, "rehearse", rehearse)
    monkeypatch.setattr(MemoryUse, "peak", lambda self: (100 + seen[0]) * MIB)
    monkeypatch.setattr(MemoryUse, "available", lambda self: 16_000 * MIB)
    with pytest.raises(BatchMemoryError):  # the report itself trains on a batch of 64 pairs
        estimate_training(data, resolved(tmp_path))
    built = trainer(tmp_path / "other", training=corpus([[4]] * 99, [[4]] * 99))
    limit = training_dry_run.Rehearsal(built, Ranks(), True).find_limit(None)
    assert limit.tried == 16  # tokens: 8 pairs of a word and its end
    assert 16 <= limit.tokens <= 64
