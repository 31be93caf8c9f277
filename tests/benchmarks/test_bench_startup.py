"""benchmarks/startup.py at toy size."""

import json
import subprocess
import sys
from pathlib import Path

import builders
import pytest

from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "startup.py"


@pytest.fixture
def start(tmp_path):
    """Runs the benchmark on a tiny model with random weights and seven lines."""
    config = ARCHITECTURES.get("lstm").config_type(
        layers=1, hidden_size=4, embedding_size=4, dropout=0.0
    )
    record = builders.record("lstm", config)
    (tmp_path / "model").mkdir()
    write_model_files(tmp_path / "model", record, record.build().state_dict())
    write_manifest(tmp_path / "model", record, {})
    (tmp_path / "lines").write_text("a b\n" * 6 + "\n")

    def run(*options):
        command = [
            sys.executable, SCRIPT, "--checkpoint", tmp_path / "model",
            "--lines", tmp_path / "lines", "--repeats", "1", *options,
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.extensive
def test_figures_are_printed_and_written(start, tmp_path):
    done = start("--only", "list", "--beam", "2", "--precision", "int8", "--json", tmp_path / "j")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "j").read_text())
    assert written["machine"]["threads"] == 1
    torch, listing, stream = written["results"]
    assert (torch["name"], listing["name"]) == ("import torch", "list")
    assert 0 < listing["first"] <= listing["whole"]
    assert listing["above_import_torch"] == listing["first"] - torch["first"]
    # five of the seven lines warm it up; an empty line is answered too
    assert (stream["name"], len(stream["delays"])) == ("beam 2, int8", 2)
    assert 0 < stream["median"] <= stream["percentile_95"] <= stream["longest"]
    assert f"| 2 | int8 | {1e3 * stream['median']:.1f} |" in done.stdout
    assert f"| list | {listing['first']:.2f} |" in done.stdout


@pytest.mark.extensive
def test_a_command_that_it_does_not_have_is_refused(start):
    done = start("--only", "lost")
    assert done.returncode == 1
    assert "no 'lost' among import torch, --help" in done.stderr
