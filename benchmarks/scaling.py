"""Training with several processes: measured with two on this machine, estimated for GPUs.

    python benchmarks/scaling.py measure STORE [--updates 60] [--repeats 3] [--json FILE]
    python benchmarks/scaling.py estimate [--teraflops 50 100 200] [--json FILE]

`measure` trains the same updates in one process with two threads and in two processes of one
thread each, in turn, and prints words per second and bytes per update. `estimate` prints the tables
of docs/scaling.md: the paper's model on 12 M pairs over 1, 8 and 64 GPUs. It computes them from
the number of operations and from given, not measured, speeds of GPU and link.
See benchmarks/README.md.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import alternate, facts, median, write_results

RATE = re.compile(r"([\d,]+) source \+ ([\d,]+) target words/s")
SENT = re.compile(r"([\d,]+) bytes per update")

# The paper's model and text (Sutskever et al. 2014, section 3)
PAIRS = 12e6
SOURCE_WORDS, TARGET_WORDS = 304e6, 348e6
EPOCHS = 7.5
BATCH = 128  # pairs a GPU and update
LAYERS = 64e6  # weights of the recurrent layers, half of them the encoder's
SOFTMAX = 80e6
EMBEDDINGS = 240e6
WIDTH = 1000
LINKS = {"NVLink, 450 GB/s": 450e9, "InfiniBand, 50 GB/s": 50e9, "Ethernet, 12.5 GB/s": 12.5e9}


@dataclass(frozen=True)
class Estimate:
    """The estimate for one number of GPUs.

    Attributes:
        operations: operations of an update on one GPU: 6 per weight and word that passes it.
        compute: seconds of computation per update.
        sparse, dense: seconds of the all-reduce per update, with embedding gradients sent as the
            rows that were used, or as whole tables.
        hours: of the whole training, with sparse and with dense embedding gradients, without
            overlap of computation and all-reduce.
        memory, sharded: bytes per GPU of weights, gradients and SGD's state, unsharded and sharded.
    """

    gpus: int
    link: str
    operations: float
    compute: float
    sparse: float
    dense: float
    hours: tuple[float, float]
    memory: float
    sharded: float


def estimate(gpus: int, flops: float, link: str) -> Estimate:
    """Data parallel training with `BATCH` pairs a GPU; a ring's sum moves 2 (R - 1) / R of it."""
    source, target = (BATCH * words / PAIRS for words in (SOURCE_WORDS, TARGET_WORDS))
    operations = 6 * (source * LAYERS / 2 + target * (LAYERS / 2 + SOFTMAX))
    compute = operations / flops
    ring = 2 * (gpus - 1) / gpus / LINKS[link]
    # at most every word another row; each rank gets those of all the others
    rows = (source + target) * WIDTH * 4 * (gpus - 1) / LINKS[link]
    sparse = (LAYERS + SOFTMAX) * 4 * ring + rows
    dense = (LAYERS + SOFTMAX + EMBEDDINGS) * 4 * ring
    updates = EPOCHS * PAIRS / (BATCH * gpus)
    hours = tuple(updates * (compute + sum_) / 3600 for sum_ in (sparse, dense))
    memory = 2 * 4 * (LAYERS + SOFTMAX + EMBEDDINGS)
    return Estimate(
        gpus, link, operations, compute, sparse, dense, (hours[0], hours[1]), memory, memory / gpus
    )


def table(flops: float) -> Iterator[str]:
    """Return the estimates at one sustained speed, as a Markdown table."""
    yield (
        "| GPUs | link | computation | all-reduce, rows | all-reduce, whole "
        "| hours, rows | hours, whole |"
    )
    yield "|---:|---|---:|---:|---:|---:|---:|"
    for gpus in (1, 8, 64):
        for link in LINKS if gpus > 1 else list(LINKS)[:1]:
            row = estimate(gpus, flops, link)
            yield (
                f"| {gpus} | {link if gpus > 1 else ''} | {1e3 * row.compute:.1f} ms | "
                f"{1e3 * row.sparse:.1f} ms | {1e3 * row.dense:.1f} ms | {row.hours[0]:.1f} | "
                f"{row.hours[1]:.1f} |"
            )


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One process with two threads against two with one each; the same updates."""
    options = [
        "train", arguments.store, "--layers", arguments.layers, "--hidden-size", arguments.hidden,
        "--embedding-size", arguments.hidden, "--update-freq", 2, "--batch-size", arguments.batch,
        "--max-update", arguments.updates, "--log-interval", max(1, arguments.updates // 10),
    ]  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ways = {
        "one process, two threads": ([], 2),
        "two processes, one thread each": (torchrun, 1),
        "one process, one thread": ([], 1),
    }
    sent: dict[str, int] = {}

    def words_per_second(name: str) -> float:
        launcher, threads = ways[name]
        with tempfile.TemporaryDirectory() as folder:
            rest = [*options, "--threads", threads, "--save-dir", f"{folder}/model"]
            words = [sys.executable, *launcher, "-m", "s2st_cli", *rest]
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
        text = done.stderr
        if done.returncode:
            raise RuntimeError(f"{name} failed: {text[-2000:]}")
        rates = [sum(float(n.replace(",", "")) for n in pair) for pair in RATE.findall(text)]
        found = SENT.search(text)
        if found:
            sent[name] = int(found[1].replace(",", ""))
        return median(rates[len(rates) // 5 :])

    names = {name: (lambda name=name: words_per_second(name)) for name in ways}
    runs = alternate(names, arguments.repeats)
    base = median(runs["one process, two threads"])
    for name, values in runs.items():
        shown = ", ".join(f"{value:,.0f}" for value in values)
        more = f", {sent[name]:,} bytes per update" if name in sent else ""
        print(
            f"{name}: {median(values):,.0f} words/s ({shown}), {median(values) / base:.2f} x{more}"
        )
    return {"words_per_second": runs, "bytes_an_update": sent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["measure", "estimate"])
    parser.add_argument("store", nargs="?", help="of `s2st preprocess`, to measure on")
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64, help="pairs; an update has two batches")
    parser.add_argument("--teraflops", type=float, nargs="+", default=[50.0, 100.0, 200.0])
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    machine = facts()
    if arguments.what == "measure":
        if arguments.store is None:
            parser.error("measure needs a STORE")
        print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
        write_results(arguments.json, machine, measure(arguments))
        return
    results = []
    for speed in arguments.teraflops:
        print(f"At {speed:g} TFLOP/s sustained:\n")
        print("\n".join(table(speed * 1e12)), end="\n\n")
        results += [asdict(estimate(n, speed * 1e12, link)) for n in (1, 8, 64) for link in LINKS]
    row = estimate(1, 1e14, next(iter(LINKS)))
    print(f"Operations per update and GPU: {row.operations:.3g}; weights and gradients:")
    for gpus in (1, 8, 64):
        print(f"- {gpus} GPUs, sharded: {row.memory / gpus / 1e9:.2f} GB per GPU")
    write_results(arguments.json, machine, results)


if __name__ == "__main__":
    main()
