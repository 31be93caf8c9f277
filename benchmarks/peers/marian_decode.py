"""Decodes with Marian's own decoder, a process of its own; run by pymarian's interpreter.

    python marian_decode.py TASK.json

Its model is not ours (see marian_model.py) and has had two updates: what comes out has no meaning.
Its EOS is banned by a bias, so that every output has LENGTH words for each one of its batch's
longest source: compare output words a second. Prints the seconds of the whole process, start-up and
loading included.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
from marian_model import program, read_task, read_text, run, train, write_text

LENGTH = 1.2


def main():
    task = read_task()
    sources = [row[::-1] if task["reverse_source"] else row for row in task["sources"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        some = [row for row in sources if row][:16]
        train({**task, "threads": 1}, folder, some * 2, some * 2, len(some), 2)
        ban_eos(folder / "model.npz")
        write_text(folder / "input", sources)
        command = program(
            *("decode", "-m", folder / "model.npz"),
            *("-v", folder / "source.yml", folder / "target.yml"),
            *("-i", folder / "input", "-o", folder / "output", "--quiet", "--max-length", 1000),
            *("--cpu-threads", task["threads"], "--beam-size", task["beam"]),
            *("--mini-batch", task["batch"], "--maxi-batch", 1000, "--maxi-batch-sort", "src"),
            *("--max-length-factor", LENGTH),
        )
        start = time.perf_counter()
        run(command)
        seconds = time.perf_counter() - start
        outputs = read_text(folder / "output")
    with open(task["output"], "w", encoding="utf-8") as stream:
        json.dump(outputs, stream)
    words = sum(map(len, outputs))
    print(f"{words} output words, {words / seconds:.0f} words/s")
    print(seconds, flush=True)


def ban_eos(path):
    """Sets the output bias of the first entry of its target vocabulary."""
    with np.load(path, allow_pickle=False) as stored:
        weights = dict(stored)
    weights["decoder_ff_logit_l2_b"][0, 0] = -1e6
    np.savez(path, **weights)


main()
