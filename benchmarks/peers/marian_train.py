"""Trains Marian's `s2s` by its own program on the task's pairs; run by pymarian's interpreter.

    python marian_train.py TASK.json

With attention and a bidirectional encoder, see marian_model.py. Where all batches have as many
pairs, its batches are the task's; otherwise it cuts the same pairs, in the same order, into batches
of the mean size. Prints the seconds that its log gives for the updates after the first `warm`.
"""

import re
import tempfile

from marian_model import read_task, train


def main():
    task = read_task()
    batches = task["batches"]
    sources = [row for batch in batches for row in batch["sources"]]
    targets = [row for batch in batches for row in batch["targets"]]
    size = round(len(sources) / len(batches))
    with tempfile.TemporaryDirectory() as folder:
        log = train(task, folder, sources, targets, size, len(batches))
    times = [float(value) for value in re.findall(r" : Time ([0-9.]+)s", log)]
    costs = re.findall(r" : Cost ([0-9.]+)", log)
    if len(times) != len(batches):
        raise SystemExit(f"{len(times)} updates in its log, expected {len(batches)}")
    print(f"loss a target word of the last update: {costs[-1]}")
    print(sum(times[task["warm"] :]), flush=True)


main()
