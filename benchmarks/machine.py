"""What the benchmarks say of the machine: its parts, its matrix-product peak, honest medians."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def facts() -> dict[str, Any]:
    """Processor, cores, threads, versions."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            lines = [line for line in stream if line.startswith("model name")]
            name = lines[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        pass
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def peak_gflops(size: int = 4096, runs: int = 5) -> float:
    """Best of some float32 products of large square matrices, in 10^9 operations a second."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    best = min(timed(lambda: left @ right) for _ in range(runs + 1))
    return 2 * size**3 / best / 1e9


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(works: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Runs every work in turn, `repeats` times round, so that a slow minute hits all of them.

    Args:
        works: each returns its own seconds.
        repeats: rounds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(work())
    return seconds


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)
