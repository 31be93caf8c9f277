"""s2st never unpickles anything and never executes text as code, in the source and at run time."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ("s2st", "s2st_cli", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib", "marshal"}
CALLS = {"eval", "exec", "compile", "__import__"}  # as built-in names, not re.compile


def dotted(node):
    """a.b.c of a name or attribute."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
    return []


def faults(source):
    """What a source text does that it must not, a line each."""
    for node in ast.walk(ast.parse(source)):
        for name in imported(node):
            if set(name.split(".")) & MODULES or name in ("torch.load", "torch.save"):
                yield f"line {node.lineno}: imports {name}"
        if isinstance(node, ast.Attribute) and dotted(node) in ("torch.load", "torch.save"):
            yield f"line {node.lineno}: {dotted(node)}"
        if isinstance(node, ast.Attribute) and node.attr in ("load_pickle", "read_pickle"):
            yield f"line {node.lineno}: {node.attr}"
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            if called in CALLS or called.startswith("builtins."):
                yield f"line {node.lineno}: calls {called}"
            safe = [k.value for k in node.keywords if k.arg == "allow_pickle"]
            if any(not isinstance(v, ast.Constant) or v.value is not False for v in safe):
                yield f"line {node.lineno}: allows pickle"
            if called in ("np.load", "numpy.load") and not safe:
                yield f"line {node.lineno}: {called} without allow_pickle=False"


def test_the_source_neither_pickles_nor_runs_text():
    found = [
        f"{path.relative_to(ROOT)}, {fault}"
        for path in FILES
        for fault in faults(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import numpy, dill as d", "from shelve import open", "import os.marshal",
        "from torch import load", "import torch\ntorch.load('x')", "load = torch.load",
        "import numpy as np\nnp.load('x')", "np.load('x', allow_pickle=True)",
        "np.save('x', a, allow_pickle=flag)", "eval('1')", "exec(text)", "compile(t, '', 'exec')",
        "import builtins\nbuiltins.eval('1')",
    ],
)  # fmt: skip
def test_each_fault_would_be_found(source):
    assert list(faults(source))


@pytest.mark.parametrize(
    "source", ["import re\nre.compile('x')", "np.load('x', allow_pickle=False)", "model.eval()"]
)
def test_what_is_allowed(source):
    assert list(faults(source)) == []


# at run time

PATCHED = """
import io, marshal, pickle, _pickle, sys

class Pickled(BaseException):
    pass

def refuse(*arguments, **keywords):
    raise Pickled("something was pickled or unpickled")

class Refused:
    def __init__(self, *arguments, **keywords):
        refuse()

import torch, numpy  # they pickle within their own imports, if at all
for module in (pickle, _pickle):
    for name in ("load", "loads", "dump", "dumps", "_load", "_loads", "_dump", "_dumps"):
        if hasattr(module, name):
            setattr(module, name, refuse)
    for name in ("Unpickler", "_Unpickler", "Pickler", "_Pickler"):
        if hasattr(module, name):
            setattr(module, name, Refused)
torch.load = torch.save = refuse

from s2st_cli.main import run

def call(*arguments):
    code = run(list(arguments))
    assert code == 0, (arguments, code)
"""

JOBS = """
import os
prefix = sys.argv[1]
os.chdir(prefix)
tiny = ["--layers", "1", "--hidden-size", "8", "--embedding-size", "8", "--threads", "1",
        "--batch-size", "8", "--device", "cpu"]
call("preprocess", "-s", "en", "-t", "fr", "--trainpref", "train", "--validpref", "train",
     "--destdir", "store", "--tokenizer", "sentencepiece",
     "--sentencepiece-vocab-size", "14", "--sentencepiece-coverage", "1")
for epochs in ("1", "2"):  # the second goes on from the first
    call("train", "store", *tiny, "--max-epoch", epochs, "--save-dir", "run")
best = "run/checkpoint_best"
call("generate", "--checkpoint", best, "train.en")
call("score", "--checkpoint", best, "--source", "train.en", "--target", "train.fr")
call("rescore-nbest", "--checkpoint", best, "--source", "train.en", "list")
call("inspect", best)
call("inspect", "--verify", best)
call("inspect", "--verify", "store")
call("export", best, "release")
print("all done")
"""


def run_patched(folder, program):
    done = subprocess.run(
        [sys.executable, "-c", PATCHED + program, str(folder)], cwd=ROOT, capture_output=True,
        text=True, check=False, timeout=200, env={**os.environ, "S2ST_TRACEBACK": "1"},
    )  # fmt: skip
    return done


@pytest.mark.slow
def test_no_job_unpickles_anything(tmp_path):
    """Worker processes of `preprocess` are left out: their pipes, which no file is, do pickle."""
    english, french = ["a b", "b c d", "c a", "d"] * 4, ["vu wa", "wa xe yo", "xe vu", "yo"] * 4
    (tmp_path / "train.en").write_text("".join(line + "\n" for line in english))
    (tmp_path / "train.fr").write_text("".join(line + "\n" for line in french))
    entries = [
        f"{i} ||| {line} ||| A= {j} ||| {j}\n" for i, line in enumerate(french) for j in (1, 2)
    ]
    (tmp_path / "list").write_text("".join(entries))
    done = run_patched(tmp_path, JOBS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("all done\n")


WAYS = """
import numpy
folder = sys.argv[1]
ways = {
    "loads": lambda: pickle.loads(b"N."),
    "load": lambda: pickle.load(io.BytesIO(b"N.")),
    "the C module": lambda: _pickle.loads(b"N."),
    "Unpickler": lambda: pickle.Unpickler(io.BytesIO(b"N.")).load(),
    "the Python class": lambda: pickle._Unpickler(io.BytesIO(b"N.")).load(),
    "torch": lambda: torch.load(folder + "/weights.pt"),
    "numpy": lambda: numpy.load(folder + "/objects.npy", allow_pickle=True),
}
for name, way in ways.items():
    try:
        way()
    except Pickled:
        print(name)
"""


@pytest.mark.slow
def test_each_way_to_unpickle_would_be_found(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "weights.pt")
    np.save(tmp_path / "objects.npy", np.array([None, {}], dtype=object), allow_pickle=True)
    done = run_patched(tmp_path, WAYS)
    assert len(done.stdout.splitlines()) == 7, done.stderr[-2000:]
