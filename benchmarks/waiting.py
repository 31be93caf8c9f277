"""Words a second of `s2st train` by how idle OpenMP threads wait, alone and beside busy processes.

    python benchmarks/waiting.py --store DIR [--updates N] [--repeats N] [--json FILE]

Trains an LSTM of 2 x 512 (or --width) with three policies: s2st's own, sleeping at once, and the
library's own. Then does the same beside one busy process for each thread. The store is one of
`s2st preprocess`. See benchmarks/README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machine import alternate, facts, median, write_results

from s2st.process.torch_import import SPINS, WAITING

OURS = f"s2st's own: {SPINS} spins, then sleep"
POLICIES: dict[str, dict[str, str]] = {
    OURS: {},
    "sleep at once": {"OMP_WAIT_POLICY": "passive"},
    "the library's own: 300,000 spins": {"GOMP_SPINCOUNT": "300000"},
}


def main() -> None:
    arguments = parse()
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    alone = rates(arguments)
    with tempfile.TemporaryFile() as nothing:
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"], stderr=nothing)
            for _ in range(machine["threads"])
        ]
        try:
            beside = rates(arguments)
        finally:
            for process in busy:
                process.kill()
                process.wait()
    write_results(arguments.json, machine, report(alone, beside, len(busy)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", required=True, help="folder made by `s2st preprocess`")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--updates", type=int, default=10, help="that are timed, after as many")
    parser.add_argument("--repeats", type=int, default=2, help="rounds")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def rates(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Words a second of each policy and round."""
    works = {
        name: lambda values=values: rate(arguments, values)  # type: ignore[misc]
        for name, values in POLICIES.items()
    }
    return alternate(works, arguments.repeats)


def rate(arguments: argparse.Namespace, values: Mapping[str, str]) -> float:
    """Source and target words a second of the second half of a short training."""
    plain = {name: value for name, value in os.environ.items() if name not in WAITING}
    count, width = arguments.updates, str(arguments.width)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "s2st_cli", "train", arguments.store, "--arch", "lstm",
            "--layers", "2", "--hidden-size", width, "--embedding-size", width, "--dropout", "0",
            "--batch-size", "128", "--max-update", str(2 * count), "--log-interval", str(count),
            "--save-dir", folder,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, env=plain | values)
        lines = (Path(folder) / "metrics.jsonl").read_text("utf-8").splitlines()
    updates = [event for event in map(json.loads, lines) if event["event"] == "update"]
    last = next(event for event in updates if event["update"] == 2 * count)
    return float(last["source_words_per_second"] + last["target_words_per_second"])


def report(
    alone: Mapping[str, list[float]], beside: Mapping[str, list[float]], busy: int
) -> list[dict[str, Any]]:
    """Print the table and return its figures."""
    print(f"\n| idle threads | words/s alone | beside {busy} busy processes |")
    print("|---|---|---|")
    for name, own in alone.items():
        print(f"| {name} | {median(own):.0f} | {median(beside[name]):.0f} |")
    return [{"policy": name, "alone": alone[name], "beside": beside[name]} for name in alone]


if __name__ == "__main__":
    main()
