"""Stand-in for Marian's programs: `train` writes a model and a log, `decode` writes words."""

import math
import sys
from pathlib import Path

import numpy as np


def main(arguments):
    """Runs a program; its exit code."""
    program, *rest = arguments
    {"train": train, "decode": decode}[program](options(rest))
    return 0


def options(arguments):
    """Name -> values."""
    found = {}
    for text in arguments:
        if text.startswith("-"):
            values = found[text] = []
        else:
            values.append(text)
    return found


def vocabulary(path):
    """Words of the lines `"WORD": ID`, which are numbered from 0."""
    pairs = [line.rsplit(": ", 1) for line in Path(path).read_text("utf-8").splitlines()]
    assert [int(number) for _, number in pairs] == list(range(len(pairs)))
    return [word.strip('"') for word, _ in pairs]


def train(given):
    source, target = (vocabulary(path) for path in given["--vocabs"])
    assert [len(source), len(target)] == [int(size) for size in given["--dim-vocabs"]]
    lines = [Path(path).read_text("utf-8").splitlines() for path in given["--train-sets"]]
    assert len(lines[0]) == len(lines[1])
    assert {word for line in lines[0] for word in line.split()} <= {*source}
    np.savez(given["--model"][0], decoder_ff_logit_l2_b=np.zeros((1, len(target)), np.float32))
    for update in range(1, int(given["--after-batches"][0]) + 1):
        shown = f"Ep. 1 : Up. {update} : Sen. {given['--mini-batch'][0]} : Cost 3.21"
        print(f"[2026-11-21 12:00:00] {shown} : Time 0.01s : 900.00 words/s", file=sys.stderr)


def decode(given):
    with np.load(given["-m"][0], allow_pickle=False) as model:
        assert model["decoder_ff_logit_l2_b"][0, 0] < -1e5, "EOS is not banned"
    lines = Path(given["-i"][0]).read_text("utf-8").splitlines()
    words = vocabulary(given["-v"][1])
    size, factor = int(given["--mini-batch"][0]), float(given["--max-length-factor"][0])
    order = sorted(range(len(lines)), key=lambda place: -len(lines[place].split()))
    outputs = [""] * len(lines)
    for first in range(0, len(order), size):
        places = order[first : first + size]
        most = math.ceil(factor * len(lines[places[0]].split()))
        for place in places:
            outputs[place] = " ".join([words[-1]] * most)
    Path(given["-o"][0]).write_text("".join(f"{line}\n" for line in outputs), "utf-8")
