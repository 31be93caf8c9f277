"""Hostile files of each kind end in s2st's own error, within 1 GB of memory; none is executed."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import hostile
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """The folder of the run of all cases, and what each ended in."""
    folder = tmp_path_factory.mktemp("hostile")
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, hostile.__file__, folder], capture_output=True, text=True, check=False,
        timeout=300, env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, [json.loads(line) for line in done.stdout.splitlines()]


def test_every_hostile_file_ends_in_our_own_error(outcome):
    _, results = outcome
    assert len(results) > 100
    assert [result for result in results if not result["own"]] == []
    assert [result for result in results if "\n" in result["message"]] == []
    assert {result["code"] for result in results} <= {2, 65}


def test_a_pickle_stood_in_every_slot_and_none_was_run(outcome):
    folder, results = outcome
    slots = {result["name"].partition(" as ")[2] for result in results if " as " in result["name"]}
    for name in ("weights.safetensors", "training/state.json", "training/optimizer.safetensors"):
        assert f"checkpoint_0000003/{name}" in slots
    for name in ("train.en.ids.npy", "dict.en.txt", "sentencepiece.fr.model"):
        assert f"store/{name}" in slots
    assert not Path(folder, "canary").exists()


def test_the_canary_sings_when_it_is_unpickled(tmp_path):
    """Else the test above could not fail."""
    pickle.loads(hostile.pickles(tmp_path / "canary")["pickle"])
    assert (tmp_path / "canary").exists()
