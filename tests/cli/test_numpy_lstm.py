"""examples/numpy_lstm, which shares no code with s2st, gives the numbers of s2st."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "numpy_lstm" / "lstm.py"
BLOCKED = (
    "import runpy, sys; sys.modules.update(torch=None, s2st=None); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def example(*arguments, text):
    """What the script prints, in a process that can import neither torch nor s2st."""
    command = [sys.executable, "-c", BLOCKED, SCRIPT, *arguments]
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def deep(s2st, world, tiny, tmp_path_factory):
    """Two layers, reversed source, and a softmax with the weights of the embedding."""
    folder = tmp_path_factory.mktemp("deep")
    options = ("-a", "lstm-reversed", "--layers", "2", "--tie-embeddings", "output")
    words = [word for pair in zip(tiny[::2], tiny[1::2], strict=True) for word in pair
             if pair[0] != "--layers"]  # fmt: skip
    assert s2st("train", world.store, *words, *options, "--save-dir", folder / "m").code == 0
    return folder / "m" / "checkpoint_best"


@pytest.mark.parametrize("name", ["forward", "deep"])
def test_translations_and_log_probabilities_are_those_of_s2st(s2st, world, tmp_path, request, name):
    checkpoint = request.getfixturevalue("deep") if name == "deep" else world.forward
    text = world.source.read_bytes() + b"\n<s> unknown\n"
    source = tmp_path / "source"
    source.write_bytes(text)
    wanted = s2st("generate", "--checkpoint", checkpoint, source, "--search", "greedy").data
    assert example(checkpoint, text=text) == wanted
    target = tmp_path / "target"
    target.write_bytes(world.target.read_bytes() + b"le\n\n")
    pairs = ("--source", source, "--target", target)
    scores = s2st("score", "--checkpoint", checkpoint, *pairs).lines
    found = example(checkpoint, "--target", target, text=text).decode().splitlines()
    assert len(found) == len(scores) > 10
    assert list(map(float, found)) == pytest.approx(list(map(float, scores)), abs=2e-4)


def test_other_models_are_refused(world):
    done = subprocess.run(
        [sys.executable, SCRIPT, world.gru], input=b"", capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"not a plain lstm model" in done.stderr
