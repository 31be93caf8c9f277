"""benchmarks/decoding.py and benchmarks/gpu.py at toy size, on a CPU."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import builders
import peer_interpreter
import pytest
import torch

from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES
from s2st.search.registry import SEARCHES

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
LINES = ["a b", "c", "d e f a", "b b"]
LAYERS, WIDTH = 2, 6
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def run(tmp_path, script, *options):
    result = tmp_path / "result.json"
    command = [sys.executable, FOLDER / script, *map(str, options), "--json", result]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(result.read_text("utf-8"))["results"]


CONFIG = ARCHITECTURES.get("lstm").config_type(
    layers=LAYERS, hidden_size=WIDTH, embedding_size=WIDTH, dropout=0.0
)


TRANSFORMER = ARCHITECTURES.get("transformer").config_type(
    layers=LAYERS, hidden_size=WIDTH, heads=2, dropout=0.0
)


def write_model(folder, model, name="lstm", config=CONFIG):
    record = builders.record(name, config)
    folder.mkdir()
    write_model_files(folder, record, model.state_dict())
    write_manifest(folder, record, {})
    return folder


@pytest.fixture
def models(tmp_path):
    """Two tiny models with random weights."""
    made = []
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        made.append(write_model(tmp_path / name, builders.record("lstm", CONFIG).build()))
    return made


@pytest.fixture
def talker(tmp_path):
    """An LSTM that `talking` finds."""
    return talking(tmp_path, "lstm", CONFIG, len(LINES))


def talking(tmp_path, name, config, least):
    """A model whose translations of LINES end before the limit, and so many of them differ."""
    greedy = SEARCHES.get("greedy").build(SEARCHES.get("greedy").config_type())
    for seed in range(300):
        scorer = builders.scorer(name, config, seed)
        rows = [scorer.source.vocabulary.encode(line.split()) for line in LINES]
        found = [group[0] for group in greedy(scorer, builders.source_batch(rows))]
        different = len({hypothesis.tokens for hypothesis in found}) >= least
        if different and all(hypothesis.finished for hypothesis in found):
            return write_model(tmp_path / "talker", scorer.model.float(), name, config)
    raise AssertionError("no such model among those with these seeds")


@pytest.mark.extensive
def test_decoding(tmp_path, models):
    text, reference = tmp_path / "text", tmp_path / "reference"
    text.write_text("".join(f"{line}\n" for line in LINES))
    reference.write_text("v w\n" * len(LINES))
    shown, rows = run(
        tmp_path, "decoding.py", "--checkpoint", models[0], "--checkpoint", models[1],
        "--text", text, "--reference", reference, "--beams", 1, 3, "--repeats", 2, "--threads", 1,
        "--peak-size", 64,
    )  # fmt: skip
    *rows, last = rows
    found = {(row["model"], row["beam"], row["name"], row["whole"]): row for row in rows}
    for model in ("one", "ensemble of 2"):
        for beam in (1, 3):
            for way in ("s2st float32", "s2st int8"):
                assert len(found[model, beam, way, False]["seconds"]) == 2
    plain = found["one", 1, "s2st float32", False]
    assert plain["same"] == found["one", 1, "s2st float32", True]["same"] == len(LINES)
    # every word and every EOS is a row; 4 x 2 WIDTH x WIDTH weights a layer; 8 target words
    recurrent, softmax = LAYERS * 8 * WIDTH * WIDTH, WIDTH * 8
    rows_stepped = plain["words"] + len(LINES)
    source = sum(len(line.split()) + 1 for line in LINES)
    expected = 2 * (rows_stepped * (recurrent + softmax) + source * recurrent)
    assert plain["floor_seconds"] * last["peak_gflops"] * 1e9 == pytest.approx(expected)
    for peer in ("OpenNMT-py", "fairseq", "JoeyNMT", "Marian"):
        assert peer in shown


@pytest.mark.extensive
def test_decoding_with_peers(tmp_path, talker):
    """The stand-ins compute our model: with its weights they must say what our search says."""
    text = tmp_path / "text"
    text.write_text("".join(f"{line}\n" for line in LINES))
    shown, (*rows, last) = run(
        tmp_path, "decoding.py", "--checkpoint", talker, "--text", text, "--beams", 1, 2,
        "--repeats", 1, "--threads", 1, "--precisions", "float32", "--peer-batch", 1,
        "--peak-size", 64,
        *peer_interpreter.options(peer_interpreter.with_peers(tmp_path)),
    )  # fmt: skip
    assert last["missing"] == []
    found = {(row["beam"], row["name"], row["whole"]): row for row in rows}
    for peer in ("OpenNMT-py", "fairseq"):
        assert found[1, peer, False]["same"] == len(LINES)
        assert found[1, peer, False]["words"] == found[1, "s2st float32", False]["words"]
    # 1.2 words for each one of the source, rounded up; JoeyNMT counts no EOS of the source
    forced = sum(math.ceil(1.2 * len(line.split())) for line in LINES)
    for beam in (1, 2):
        assert found[beam, "Marian", True]["words"] == forced
        assert found[beam, "JoeyNMT", False]["words"] == forced
        for peer in ("OpenNMT-py", "fairseq", "JoeyNMT"):  # by its own clock, and all of it
            (inner,), (whole,) = (found[beam, peer, way]["seconds"] for way in (False, True))
            assert 0 < inner < whole
    assert "not run" not in shown


def interpreter(peer, module):
    """An interpreter that has a peer: this one, or that of a variable such as OPENNMT."""
    found = importlib.util.find_spec(module) and sys.executable
    return os.environ.get(peer.upper()) or found


@pytest.mark.extensive
@pytest.mark.parametrize(
    ("peer", "module", "name"),
    [
        ("ctranslate2", "ctranslate2", "CTranslate2"),
        ("opennmt", "onmt", "OpenNMT-py"),
        ("fairseq", "fairseq", "fairseq"),
    ],
)
def test_a_real_peer_decodes_our_transformer(tmp_path, peer, module, name):
    python = interpreter(peer, module)
    if not python:
        pytest.skip(f"{name} is not installed; the variable {peer.upper()} can name an interpreter")
    model, text = talking(tmp_path, "transformer", TRANSFORMER, 2), tmp_path / "text"
    text.write_text("".join(f"{line}\n" for line in LINES))
    _, (*rows, last) = run(
        tmp_path, "decoding.py", "--checkpoint", model, "--text", text, "--beams", 1, 2,
        "--repeats", 1, "--threads", 1, "--precisions", "float32", "--peer-batch", 1,
        "--peak-size", 64, f"--{peer}", python,
    )  # fmt: skip
    found = {(row["beam"], row["name"], row["whole"]): row for row in rows}
    assert last["architecture"] == "transformer"
    assert all(found[beam, name, False]["same"] == len(LINES) for beam in (1, 2))
    # every word and every EOS is a row; attention has 4 matrices, the feed-forward network 8
    ours, square = found[1, "s2st float32", False], WIDTH * WIDTH
    source = sum(len(line.split()) + 1 for line in LINES) * LAYERS * (12 + 2) * square
    target = (ours["words"] + len(LINES)) * (LAYERS * 14 * square + WIDTH * 8)
    operations = ours["floor_seconds"] * last["peak_gflops"] * 1e9
    assert operations == pytest.approx(2 * (source + target))


@pytest.mark.extensive
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])
def test_one_gpu_or_none(tmp_path, device):
    shown, rows = run(
        tmp_path, "gpu.py", "--device", device, "--precision", "float32", "--layers", LAYERS,
        "--width", WIDTH, "--source-words", 50, "--target-words", 40, "--batch", 4,
        "--updates", 3, "--beam", 3, "--sentences", 5, "--hypotheses", 6, "--count", 2,
        "--repeats", 1, "--peak-size", 64, "--store", builders.store(tmp_path / "data"),
    )  # fmt: skip
    generated, real, decoding, rescoring = rows
    for row, target_words in ((generated, 44), (real, 8)):  # with the special ones
        recurrent, softmax = LAYERS * 8 * WIDTH * WIDTH, WIDTH * target_words
        source, target = row["source_words"], row["target_words"]
        assert row["operations"] == 6 * (source * recurrent + target * (recurrent + softmax))
        assert row["floor_seconds"] > 0
    assert decoding["sentences"] == 5
    assert rescoring["hypotheses"] == 12
    assert rescoring["rows"] <= rescoring["positions"]
    assert "the paper's 6300" in shown
