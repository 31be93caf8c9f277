"""`s2st export --format onnx`: a script without s2st translates as `generate --search greedy`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "onnx" / "greedy.py"
TRAIN = ("--layers", 1, "--hidden-size", 16, "--embedding-size", 16, "--dropout", 0,
         "--batch-size", 20, "--lr", 0.02, "--max-epoch", 6, "--threads", 1)  # fmt: skip
BLOCKED = "import sys; sys.modules['torch'] = sys.modules['s2st'] = None; import runpy; " \
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"  # fmt: skip


@pytest.fixture(autouse=True)
def _needs_onnx():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


def translated(folder, text):
    """What the script prints, in a process that can import neither torch nor s2st."""
    command = [sys.executable, "-c", BLOCKED, SCRIPT, folder]
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout


def test_the_script_translates_as_s2st(s2st, world, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    options = ("-a", "lstm-attention", "--reverse-target", "--save-dir", run)
    assert s2st("train", world.store, *TRAIN, *options).code == 0
    best = run / "checkpoint_best"
    outcome = s2st("export", best, out, "--format", "onnx")
    assert outcome.code == 0, outcome.err
    text = tmp_path / "text"
    text.write_bytes(world.source.read_bytes() + b"\n<s> unknown\n")
    wanted = s2st("generate", "--checkpoint", best, text, "--search", "greedy").data
    assert translated(out, text.read_bytes()) == wanted
    assert len(set(wanted.splitlines())) > 3
    record = json.loads((out / "s2st.json").read_text())
    assert record["reverse_target"] is True
    assert record["source_language"] == "en"
    assert set(record["states"]) == {"hidden_0", "cell_0"}


def test_a_model_of_several_pairs_is_exported_for_one(s2st, world, tiny, tmp_path):
    pairs = ("--pair", f"en-fr:{world.folder}/train", "--pair", f"fr-en:{world.folder}/train",
             "--validpref", f"en-fr:{world.folder}/valid",
             "--validpref", f"fr-en:{world.folder}/valid")  # fmt: skip
    store, run, out = tmp_path / "store", tmp_path / "run", tmp_path / "out"
    assert s2st("preprocess", *pairs, "--joined-dictionary", "--destdir", store).code == 0
    assert s2st("train", store, *tiny, "-a", "gru-attention", "--save-dir", run).code == 0
    best = run / "checkpoint_best"
    s2st("export", best, out, "--format", "onnx").check_error(2, "several source languages")
    pair = ("-s", "en", "-t", "fr")
    assert s2st("export", best, out, "--format", "onnx", *pair).code == 0
    assert json.loads((out / "s2st.json").read_text())["source_prefix"] == ["<2fr>"]
    greedy = ("--search", "greedy", "--source-lang", "en", "--target-lang", "fr")
    wanted = s2st("generate", "--checkpoint", best, world.source, *greedy)
    assert wanted.code == 0, wanted.err
    assert translated(out, world.source.read_bytes()) == wanted.data
