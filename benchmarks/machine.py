"""What the benchmarks say of the machine: its parts, its matrix-product peak, honest medians."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s2st.models.packed.packed_linear import make_product


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


def write_results(path: Path | None, machine: Mapping[str, Any], results: object) -> None:
    """The figures of this run as JSON, where a file is asked for."""
    if path is not None:
        record = {"machine": machine, "command": sys.argv, "results": results}
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def peak_gflops(size: int = 4096, runs: int = 5) -> float:
    """Best of some float32 products of large square matrices, in 10^9 operations a second.

    By torch's own product and by oneDNN's with packed weights, whichever is faster here.
    """
    left, right = torch.randn(size, size), torch.randn(size, size)
    packed = make_product(right, None, "float32")
    with torch.inference_mode():
        ways = (lambda: left @ right, lambda: packed(left))
        best = min(timed(way) for way in ways for _ in range(runs + 1))
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


def run_measured(command: Sequence[str | Path]) -> tuple[str, float]:
    """Runs a command: its standard output, and its largest resident set in bytes (on Linux).

    The kernel's high-water mark is read while it runs: what `wait` tells would count this process.
    """
    largest = 0.0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                largest = max(largest, resident_peak(process.pid))
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:2]))} failed: {errors[-2000:]}")
    return output, largest


def run_peer(command: Sequence[str | Path]) -> str:
    """Runs a peer's adapter: its standard output.

    Raises:
        RuntimeError: the adapter failed; the message ends with what it wrote to standard error.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:2]))} failed: {done.stderr[-2000:]}")
    return done.stdout


def resident_peak(process: int | str = "self") -> float:
    """Largest resident set of a running process so far, in bytes; 0 where it cannot be read."""
    try:
        with open(f"/proc/{process}/status", encoding="utf-8") as stream:
            return 1024.0 * sum(int(x.split()[1]) for x in stream if x.startswith("VmHWM"))
    except OSError:
        return 0.0


def peers_here(
    peers: Mapping[str, tuple[str, str]], pythons: Mapping[str, str]
) -> tuple[dict[str, list[str]], list[str]]:
    """(name -> interpreter and adapter of each peer that can be run, a line on each other one).

    Args:
        peers: name -> (module that must be importable, adapter in benchmarks/peers).
        pythons: name -> interpreter.
    """
    found, missing = {}, []
    for name, (module, script) in peers.items():
        adapter = Path(__file__).parent / "peers" / script
        probe = [pythons[name], "-c", f"import {module}"]
        if not adapter.exists():
            missing.append(f"{name}: no adapter here; not run")
        elif subprocess.run(probe, capture_output=True, check=False).returncode:
            missing.append(f"{name}: not installed for {pythons[name]}; not run")
        else:
            found[name] = [pythons[name], str(adapter)]
    return found, missing
