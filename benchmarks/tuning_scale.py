"""Time and memory of the line search against the number of lists, on generated lists.

    python benchmarks/tuning_scale.py [--lists 1000 10000 100000] [--size 1000] [--features 3]
        [--memory 256] [--whole] [--json FILE]

Every number of lists is measured in a process of its own. Features and BLEU statistics are kept as
`rescore-nbest` keeps them: --memory MiB of each in memory, more in a file in the folder of TMPDIR.
The table has the peak resident set (the kernel's, which counts pages of the file that the system
may drop at any time), the peak of anonymous memory (which it cannot drop), and the time of one
exact search along one line, by the clock and of the processor. --whole also runs the whole tuner
from one starting point.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts, resident_peak, run_measured, write_results

from s2st.rescoring.array_pile import ArrayPile
from s2st.rescoring.line_search import LineSearch, ListBlocks
from s2st.rescoring.metrics import Bleu
from s2st.rescoring.registry import LineSearchConfig
from s2st.rescoring.tuning_data import divided
from s2st.rescoring.tuning_lists import TuningList

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--size", type=int, default=1000, help="hypotheses of a list")
    parser.add_argument("--features", type=int, default=3)
    parser.add_argument("--memory", type=int, default=256, help="MiB, as --tuning-memory")
    parser.add_argument("--lines", type=int, default=1, help="lines to search; the median is shown")
    parser.add_argument("--whole", action="store_true", help="also run the whole tuner once")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments, arguments.one)))
        return
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    print(
        f"lists of {arguments.size} hypotheses, {arguments.features} features, "
        f"{arguments.memory} MiB in memory\n"
    )
    print(
        "| lists | data, MiB | anonymous, MiB | resident, MiB | one line, s | CPU, s | whole, s |"
    )
    print("|---|---|---|---|---|---|---|")
    results = []
    for count in arguments.lists:
        found = run(arguments, count)
        results.append(found)
        whole = "" if found["whole_s"] is None else f"{found['whole_s']:.0f}"
        print(
            f"| {count:,} | {found['data_mib']:.0f} | {found['anonymous_mib']:.0f} | "
            f"{found['resident_mib']:.0f} | {found['line_s']:.2f} | "
            f"{found['line_cpu_s']:.2f} | {whole} |",
            flush=True,
        )
    write_results(arguments.json, machine, results)


def run(arguments: argparse.Namespace, count: int) -> dict[str, Any]:
    """Measure one number of lists in a process of its own."""
    command = [
        sys.executable, __file__, "--one", str(count), "--size", str(arguments.size),
        "--features", str(arguments.features), "--memory", str(arguments.memory),
        "--lines", str(arguments.lines), *(["--whole"] if arguments.whole else []),
    ]  # fmt: skip
    output, resident = run_measured(command)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {**found, "resident_mib": max(resident / MIB, found["resident_mib"])}


def measure(arguments: argparse.Namespace, count: int) -> dict[str, Any]:
    """Generate lists and search; return the figures of this process."""
    with AnonymousPeak() as peak:
        started = time.perf_counter()
        lists = generate(count, arguments.size, arguments.features, arguments.memory * MIB)
        generated = time.perf_counter() - started
        metric = Bleu()
        blocks = ListBlocks(lists, metric)
        weights = np.ones(arguments.features)
        seconds, processor = [], []
        for line in range(arguments.lines):
            started, used = time.perf_counter(), time.process_time()
            blocks.best_on_line(weights, np.eye(arguments.features)[line % arguments.features])
            seconds.append(time.perf_counter() - started)
            processor.append(time.process_time() - used)
        whole = None
        if arguments.whole:
            started = time.perf_counter()
            LineSearch(LineSearchConfig(restarts=0, directions=0))(lists, weights, metric)
            whole = time.perf_counter() - started
    cells = count * arguments.size
    return {
        "lists": count,
        "size": arguments.size,
        "features": arguments.features,
        "memory_mib": arguments.memory,
        "data_mib": cells * (8 * arguments.features + 4 * metric.columns) / MIB,
        "generated_s": generated,
        "line_s": float(np.median(seconds)),
        "line_cpu_s": float(np.median(processor)),
        "whole_s": whole,
        "anonymous_mib": peak.bytes / MIB,
        "resident_mib": resident_peak() / MIB,
    }


def generate(count: int, size: int, features: int, memory: int) -> tuple[TuningList, ...]:
    """Return lists with seeded features and BLEU statistics; the first feature tells quality."""
    generator = np.random.Generator(np.random.PCG64(1))
    values = ArrayPile(np.float64, memory)
    rows = ArrayPile(np.int32, memory)
    columns = Bleu.columns
    for _ in range(count):
        length = generator.integers(8, 30, size=size)
        counts = np.maximum(length[:, None] - np.arange(4), 0)
        quality = np.sort(generator.uniform(0.3, 1.0, size=(size, 4)), axis=1)[:, ::-1]
        reference = np.full((size, 1), int(generator.integers(8, 30)))
        rows.append(np.hstack([(counts * quality).astype(np.int64), counts, reference]))
        own = generator.normal(size=(size, features))
        own[:, 0] += 4 * quality[:, 0]
        values.append(own)
    statistics = rows.finish().reshape(count, size, columns)
    return divided(values.finish(), list(statistics), features)


class AnonymousPeak:
    """Watches this process's anonymous memory.

    Attributes:
        bytes: the largest value seen; 0 where the system does not tell it.
    """

    def __init__(self) -> None:
        self.bytes = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "AnonymousPeak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, _anonymous())
            if self._ended.wait(0.02):
                return


def _anonymous() -> float:
    try:
        with open("/proc/self/status", encoding="utf-8") as stream:
            return 1024.0 * sum(int(x.split()[1]) for x in stream if x.startswith("RssAnon"))
    except OSError:
        return 0.0


if __name__ == "__main__":
    main()
