"""Models on disk: loading returns what was saved, and verifies it."""

from dataclasses import dataclass

import builders
import pytest
import torch
from torch import nn

from s2st.errors import CheckpointError
from s2st.models import model_files
from s2st.models.base import Seq2SeqModel
from s2st.models.model_building import hollow_model
from s2st.models.model_files import read_saved, write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.load_scorers import load_scorer

CPU = torch.device("cpu")


def write(folder, record):
    weights = record.build().state_dict()
    write_model_files(folder, record, weights)
    (folder / "training").mkdir()
    (folder / "training" / "state").write_bytes(b"x" * 100)
    write_manifest(folder, record, {})
    return weights


@pytest.fixture
def record():
    config = ARCHITECTURES.get("lstm").config_type(
        layers=2, hidden_size=5, embedding_size=4, dropout=0.0
    )
    return builders.record("lstm", config)


def test_what_is_loaded_is_what_was_saved(record, tmp_path):
    weights = write(tmp_path, record)
    loaded = read_saved(tmp_path).load(CPU)
    assert loaded.state_dict().keys() == weights.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[name])
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_loading_draws_no_random_numbers(record, tmp_path):
    """Weights that are loaded are not filled first."""
    write(tmp_path, record)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    read_saved(tmp_path).load(CPU)
    assert torch.equal(torch.rand(4), expected)


@dataclass(frozen=True)
class _TableConfig:
    """No options."""


class _Table(nn.Module):
    """A model with constants of its own, which are not saved."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(2, 3)))
        self.positions = nn.Buffer(torch.arange(5.0), persistent=False)


def test_what_a_model_computes_for_itself_is_there_after_loading(monkeypatch, tmp_path):
    monkeypatch.setattr(ARCHITECTURES, "_entries", dict(ARCHITECTURES._entries))
    Seq2SeqModel.register(_Table)  # as far as the registry asks
    ARCHITECTURES.register("table", _TableConfig, lambda *_: _Table(), "a test's")
    weights = write(tmp_path, builders.record("table", _TableConfig()))
    loaded = read_saved(tmp_path).load(CPU)
    assert torch.equal(loaded.weight, weights["weight"])
    assert loaded.positions.tolist() == [0, 1, 2, 3, 4]


def test_a_hollow_model_has_shapes_only(record):
    model = hollow_model(record.architecture, record.config, record.sizes)
    real = record.build()
    assert {n: p.shape for n, p in model.named_parameters()} == {
        n: p.shape for n, p in real.named_parameters()
    }
    assert all(parameter.is_meta for parameter in model.parameters())


def test_damage_to_training_files_does_not_stop_a_scorer(record, tmp_path):
    write(tmp_path, record)
    (tmp_path / "training" / "state").write_bytes(b"y" * 100)
    with pytest.raises(CheckpointError, match="checksum"):
        read_saved(tmp_path)
    scorer = load_scorer([str(tmp_path)], CPU)
    assert len(scorer.target.vocabulary) == len(record.target_vocabulary)


@pytest.mark.parametrize("name", [model_files.WEIGHTS, "dict.en.txt", "dict.fr.txt"])
def test_damage_to_what_a_scorer_reads_stops_it(record, tmp_path, name):
    write(tmp_path, record)
    data = bytearray((tmp_path / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum") as caught:
        load_scorer([str(tmp_path)], CPU)
    assert caught.value.path == str(tmp_path / name)
