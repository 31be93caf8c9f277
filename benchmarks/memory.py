"""Training memory and speed of the paper's model (4 x 1000) against the size of its vocabularies.

    python benchmarks/memory.py [--words 10000/10000 160000/80000] [--optimizer sgd adam]
        [--updates 10] [--json FILE]

Every measurement is a process of its own: updates on batches of generated ids, lengths as in WMT,
words by a Zipf law within the vocabulary, sentences of near-equal length together; the largest
resident set is the kernel's. See benchmarks/README.md.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generated import pair_lengths, ranks
from machine import facts, peak_gflops, resident_peak, run_measured, write_results
from updates import Updates

from s2st.data.batch import Batch, make_batch
from s2st.data.batch_planner import BatchingConfig, plan_batches
from s2st.models.base import ModelSizes
from s2st.process.device import keep_freed_pages
from s2st.text.vocabulary import SPECIALS

POOL = 40  # batches' worth of sentences are sorted by length before the first ones are cut


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--words", nargs="+", help="SOURCE/TARGET vocabularies",
        default=["10000/10000", "40000/20000", "160000/80000"],
    )  # fmt: skip
    parser.add_argument(
        "--optimizer", nargs="+", default=["sgd", "adam"], choices=["sgd", "adam", "lazy-adam"]
    )
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128, help="sentences")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--peak-size", type=int, default=4096, help="of the peak's matrices")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.one:
        print(json.dumps(measure(arguments)))
        return
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    peak = peak_gflops(arguments.peak_size)
    print(
        f"{arguments.layers} layers x {arguments.width}, batches of {arguments.batch}, "
        f"{arguments.updates} updates; matrix-product peak {peak:.0f} GFLOP/s\n"
    )
    print("| words | parameters | optimizer | source + target words/s | of peak | peak memory |")
    print("|---|---|---|---|---|---|")
    results = [
        run(arguments, words, optimizer, peak)
        for words in arguments.words
        for optimizer in arguments.optimizer
    ]
    write_results(arguments.json, machine, results)


def run(arguments: argparse.Namespace, words: str, optimizer: str, peak: float) -> dict[str, Any]:
    """Measures in a process of its own and prints a line of the table."""
    command = [
        sys.executable, __file__, "--one", "--words", words, "--optimizer", optimizer,
        "--updates", str(arguments.updates), "--batch", str(arguments.batch),
        "--layers", str(arguments.layers), "--width", str(arguments.width),
        "--threads", str(torch.get_num_threads()),
    ]  # fmt: skip
    output, _ = run_measured(command)
    row: dict[str, Any] = json.loads(output)
    row["share_of_peak"] = row["operations"] / row["seconds"] / peak / 1e9
    print(
        f"| {words} | {row['parameters'] / 1e6:.0f} M | {optimizer} "
        f"| {row['source_words'] / row['seconds']:.0f} + "
        f"{row['target_words'] / row['seconds']:.0f} | {row['share_of_peak']:.0%} "
        f"| {row['peak_memory'] / 1e9:.2f} GB |",
        flush=True,
    )
    return {**row, "peak_gflops": peak}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes the updates; the first one is not timed."""
    keep_freed_pages()
    source_words, target_words = map(int, arguments.words[0].split("/"))
    sizes = ModelSizes(source_words + len(SPECIALS), target_words + len(SPECIALS))
    updates = Updates(arguments.layers, arguments.width, sizes, arguments.optimizer[0])
    first, *batches = make_batches(sizes, arguments.batch, arguments.updates + 1)
    updates.update(first)
    start = time.perf_counter()
    losses = [updates.update(batch) for batch in batches]
    seconds = time.perf_counter() - start
    source = sum(batch.source_tokens for batch in batches)
    target = sum(batch.target_tokens for batch in batches)
    return {
        "words": arguments.words[0], "optimizer": arguments.optimizer[0], "seconds": seconds,
        "parameters": sum(p.numel() for p in updates.model.parameters()),
        "source_words": source, "target_words": target,
        "operations": updates.operations(source, target),
        "last_loss_a_sentence": losses[-1] / len(batches[-1]), "peak_memory": resident_peak(),
    }  # fmt: skip


def make_batches(sizes: ModelSizes, size: int, count: int) -> list[Batch]:
    """Batches of generated pairs, of near-equal length within each."""
    generator = np.random.default_rng(1)
    lengths = pair_lengths(generator, size * max(POOL, count))
    plan = plan_batches(*lengths, BatchingConfig(size), seed=1, epoch=0)[:count]

    def sentence(length: int, words: int) -> list[int]:
        ids = len(SPECIALS) + ranks(generator, length) % (words - len(SPECIALS))
        return [int(value) for value in ids]

    return [
        make_batch(
            [sentence(lengths[0][i], sizes.source_vocabulary) for i in indices],
            [sentence(lengths[1][i], sizes.target_vocabulary) for i in indices],
            range(len(indices)),
        )
        for indices in plan
    ]


if __name__ == "__main__":
    main()
