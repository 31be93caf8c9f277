"""`train --precision`: what `auto` chooses, and that a run keeps the choice."""

import logging

import pytest
import torch
from builders import store

from s2st.errors import InterruptedBySignalError, UsageError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.options.resolution import OptionSource, resolve
from s2st.process.device import has_bfloat16
from s2st.training import measured_precision
from s2st.training.observer import Observer

CPU = torch.device("cpu")
BASE = {
    "arch": "lstm", "layers": 1, "hidden_size": 8, "embedding_size": 8, "dropout": 0.2,
    "batch_size": 5, "max_epoch": 2.0, "device": "cpu",
}  # fmt: skip
WEIGHTS = "checkpoint_last/weights.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return store(tmp_path_factory.mktemp("data"))


def train(data, folder, stop=lambda: 0, **options):
    values = BASE | options | {"save_dir": str(folder)}
    return run_training(data, resolve(TRAIN_SPEC, [OptionSource("test", values)]), Observer(), stop)


def speeds(monkeypatch, float32, bfloat16):
    """Makes the products take these seconds."""
    times = {torch.float32: float32, torch.bfloat16: bfloat16}
    monkeypatch.setattr(measured_precision, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(
        measured_precision, "_seconds", lambda factors, device: times[factors[0][0].dtype]
    )


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"), [(2.0, 1.0, "bfloat16"), (1.1, 1.0, "float32")]
)
def test_auto_chooses_the_clearly_faster_format_and_says_why(
    float32, bfloat16, chosen, monkeypatch, caplog
):
    speeds(monkeypatch, float32, bfloat16)
    with caplog.at_level(logging.INFO, "s2st"):
        assert measured_precision.faster_precision(CPU, 1000, 1000) == chosen
    (line,) = caplog.messages
    assert line == (
        f"--precision auto: {chosen}, because products of this model's width are "
        f"{float32 / bfloat16:.2f} times as fast in bfloat16 as in float32"
    )


def test_auto_uses_float32_without_bfloat16_instructions(monkeypatch, caplog):
    monkeypatch.setattr(measured_precision, "has_bfloat16", lambda device: False)
    with caplog.at_level(logging.INFO, "s2st"):
        assert measured_precision.faster_precision(CPU, 8, 8) == "float32"
    assert "no bfloat16 instructions" in caplog.text


@pytest.mark.skipif(not has_bfloat16(CPU), reason="this CPU has no bfloat16 instructions")
def test_a_resumed_run_keeps_what_auto_chose(tmp_path, data, monkeypatch):
    train(data, tmp_path / "named", precision="bfloat16")
    speeds(monkeypatch, float32=2.0, bfloat16=1.0)
    seen = []
    with pytest.raises(InterruptedBySignalError):
        train(data, tmp_path / "auto", lambda: seen.append(1) or 15 * (len(seen) == 3),
              precision="auto")  # fmt: skip
    speeds(monkeypatch, float32=1.0, bfloat16=2.0)
    train(data, tmp_path / "auto", precision="auto")
    assert (tmp_path / "auto" / WEIGHTS).read_bytes() == (tmp_path / "named" / WEIGHTS).read_bytes()
    train(data, tmp_path / "slow", precision="auto")
    plain = train(data, tmp_path / "float32")
    assert plain.update
    assert (tmp_path / "slow" / WEIGHTS).read_bytes() == (
        tmp_path / "float32" / WEIGHTS
    ).read_bytes()
    with pytest.raises(UsageError, match=r"--precision was bfloat16, is float32"):
        train(data, tmp_path / "auto", precision="float32")
