"""What a command imports: nothing heavy that its job does not need."""

import os
import subprocess
import sys

import builders
import pytest

from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES

LIST = """
import sys
from s2st_cli.main import run
code = run(sys.argv[1:])
print("imported", *sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""
METRICS = {"sacrebleu", "sacremoses", "sentencepiece", "rich", "scipy", "matplotlib"}
COMPILERS = {"torch._dynamo", "torch._inductor", "torch.distributed.tensor", "torch.onnx", "sympy"}
HEAVY = METRICS | COMPILERS | {"s2st.training.trainer", "s2st.jobs.train"}


def imported(*arguments: object, stdin: str = "") -> tuple[str, set[str]]:
    """Standard output of a command in a process of its own, and all modules that are there then."""
    done = subprocess.run(
        [sys.executable, "-c", LIST, *map(str, arguments)],
        input=stdin, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    last = done.stderr.splitlines()[-1].split()
    assert last[0] == "imported"
    return done.stdout, set(last[1:])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny model with random weights over text that is tokenized already."""
    entry = ARCHITECTURES.get("lstm")
    config = entry.config_type(layers=1, hidden_size=4, embedding_size=4, dropout=0.0)
    record = builders.record("lstm", config)
    folder = tmp_path_factory.mktemp("tiny")
    write_model_files(folder, record, record.build().state_dict())
    write_manifest(folder, record, {})
    return folder


@pytest.mark.slow
def test_generate_imports_nothing_heavy(checkpoint):
    out, modules = imported("generate", "--checkpoint", checkpoint, "--threads", 1, stdin="a\n")
    assert out.count("\n") == 1
    assert {"torch", "s2st.search.beam"} <= modules
    assert not HEAVY & modules


@pytest.mark.slow
def test_scoring_pairs_and_rescoring_import_nothing_heavy(checkpoint, tmp_path):
    (tmp_path / "one").write_text("a\n")
    (tmp_path / "nbest").write_text("0 ||| b ||| LM0= -1 ||| -1\n")
    model = "--checkpoint", checkpoint, "--threads", 1
    files = "--source", tmp_path / "one"
    _, modules = imported("score", *model, *files, "--target", tmp_path / "one")
    assert not HEAVY & modules
    out, modules = imported("rescore-nbest", *model, *files, tmp_path / "nbest")
    assert out == "b\n"
    assert not HEAVY & modules


def test_scoring_text_needs_no_torch(tmp_path):
    (tmp_path / "one").write_text("a b c d\n")
    out, modules = imported("score", tmp_path / "one", "--ref", tmp_path / "one")
    assert "100.0" in out
    assert "sacrebleu" in modules
    assert not {"torch", "sympy", "scipy", "rich", "sacremoses", "sentencepiece"} & modules


@pytest.mark.slow
def test_inspecting_needs_no_compiler(checkpoint):
    out, modules = imported("inspect", checkpoint)
    assert "architecture lstm" in out
    assert not HEAVY & modules


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["train", "--help"]])
def test_help_needs_no_torch(arguments):
    _, modules = imported(*arguments)
    assert not {"torch", "safetensors", *METRICS} & modules
