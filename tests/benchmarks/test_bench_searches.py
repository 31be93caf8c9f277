"""benchmarks/searches.py at toy size."""

import json
import subprocess
import sys
from pathlib import Path

import builders
import pytest

from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES
from s2st.search.registry import SEARCHES

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "searches.py"


@pytest.mark.slow
def test_every_search_but_the_exhaustive_one_is_timed(tmp_path):
    config = ARCHITECTURES.get("lstm").config_type(
        layers=1, hidden_size=4, embedding_size=4, dropout=0.0
    )
    record = builders.record("lstm", config)
    (tmp_path / "model").mkdir()
    write_model_files(tmp_path / "model", record, record.build().state_dict())
    write_manifest(tmp_path / "model", record, {})
    (tmp_path / "lines").write_text("a b\n" * 3 + "\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--checkpoint", tmp_path / "model", "--lines", tmp_path / "lines",
         "--repeats", "1", "--max-len-b", "2", "--json", tmp_path / "figures"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "figures").read_text())["results"]
    names = [result["name"] for result in results]
    assert names[0] == "beam 5"
    assert {*names, "beam", "exhaustive"} == {*SEARCHES.names(presets=False), "beam 5"}
    for result in results:
        (seconds,) = result["seconds"]
        assert result["ratio"] == pytest.approx(seconds / results[0]["seconds"][0])
        assert f"| {result['name']} | {seconds:.2f} | {result['ratio']:.2f} |" in done.stdout
