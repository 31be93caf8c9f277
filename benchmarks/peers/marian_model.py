"""Marian's `s2s` as near to ours as it can be configured, and its programs as pymarian brings them.

It always has attention and a bidirectional encoder (each direction as wide as ours), starts its
decoder from the mean of the encoder's states and puts a hidden layer before the softmax: our
weights do not fit into it. No torch here; its environment needs none.
"""

import json
import subprocess
import sys
from pathlib import Path


def read_task():
    """The task named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        return json.load(stream)


def program(*arguments):
    """The command line of a Marian program; pymarian's own entry point imports more than that."""
    start = "import sys, _pymarian; sys.exit(_pymarian.main(sys.argv[1:]))"
    return [sys.executable, "-c", start, *map(str, arguments)]


def run(command):
    """Runs it; what it logged. Raises CalledProcessError after showing that."""
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
    done.check_returncode()
    return done.stderr


def write_text(path, rows):
    """Ids as words `wID`."""
    path.write_text("".join(" ".join(f"w{i}" for i in row) + "\n" for row in rows), "utf-8")


def read_text(path):
    """Ids of words `wID`; other words are unknown."""
    lines = path.read_text("utf-8").splitlines()
    return [[int(word[1:]) if word[0] == "w" else 3 for word in line.split()] for line in lines]


def write_vocabulary(path, count):
    """`count` entries as in s2st, though it has no padding and no BOS."""
    words = ["</s>", "<unk>", "spare", *(f"w{n}" for n in range(3, count))]
    path.write_text("".join(f'"{word}": {i}\n' for i, word in enumerate(words)), "utf-8")


def train(task, folder, sources, targets, batch, updates):
    """Trains on pairs of ids in their order, `batch` pairs an update; its log.

    Adam and clipping by the norm as its trainer does them; the model is FOLDER/model.npz.
    """
    folder = Path(folder)
    write_text(folder / "train.source", sources)
    write_text(folder / "train.target", targets)
    write_vocabulary(folder / "source.yml", task["source_words"])
    write_vocabulary(folder / "target.yml", task["target_words"])
    depth, width, threads = task["layers"], task["width"], task["threads"]
    options = [
        *("--type", "s2s", "--enc-cell", "lstm", "--dec-cell", "lstm"),
        *("--enc-depth", depth, "--dec-depth", depth, "--dec-cell-base-depth", 1),
        *("--dim-emb", width, "--dim-rnn", width),
        *("--dim-vocabs", task["source_words"], task["target_words"]),
        *("--train-sets", folder / "train.source", folder / "train.target"),
        *("--vocabs", folder / "source.yml", folder / "target.yml"),
        *("--model", folder / "model.npz", "--max-length", 1000, "--tempdir", folder),
        *("--mini-batch", batch, "--maxi-batch", 1, "--maxi-batch-sort", "none", "--no-shuffle"),
        *("--optimizer", "adam", "--learn-rate", 0.001, "--clip-norm", 5.0),
        *("--cost-type", "ce-mean-words", "--after-batches", updates, "--disp-freq", 1),
        *("--cpu-threads", threads, "--sync-sgd", "--workspace", 2048, "--seed", 1),
    ]
    return run(program("train", *options))
