"""`make torture`: faults injected into small runs, thousands of times; prints one table.

    python tests/torture/run.py [--short] [--only NAME] [--folder FOLDER] [--seed N]

A row is a function Setting -> Row in a module of its own, registered in ROWS. The exit code is 1
where anything was lost.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "faults"), str(TESTS.parent)]  # harness, small_run; s2st

from harness import Warm  # noqa: E402
from report import Row, Setting  # noqa: E402

# (name for --only, "module:function"); imported when it runs
ROWS = [
    ("kills", "kills:random_kills"),
    ("every-kill", "kills:every_operation_killed"),
    ("every-failure", "kills:every_operation_failed"),
    ("store-failure", "kills:every_preprocess_operation_failed"),
    ("power", "power:training"),
    ("store-power", "power:preprocess_row"),
    ("flips", "rot:flips"),
    ("truncations", "rot:truncations"),
    ("zero-tails", "rot:zero_tails"),
    ("replaced", "replaced:read_beside"),
    ("signals-train", "signals:training"),
    ("signals-generate", "signals:generating"),
    ("signals-start", "signals:starting"),
    ("groups-preprocess", "groups:preprocessing"),
    ("groups-ngram", "groups:counting"),
    ("groups-demo", "groups:demonstrating"),
    ("foreign-files", "strangers:foreign_files"),
    ("folder-replaced", "strangers:folder_replaced"),
    ("floods", "floods:floods"),
    ("numbers", "extremes:numbers"),
    ("workers-killed", "workers:killed"),
    ("workers-hung", "workers:hung"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description="Injects faults, prints what survived.")
    parser.add_argument("--short", action="store_true", help="a small sample of each fault")
    parser.add_argument("--only", action="append", choices=[name for name, _ in ROWS])
    parser.add_argument("--folder", type=Path, help="work here and leave it; else a temporary one")
    parser.add_argument("--seed", type=int, default=1, help="seed of random times and places")
    chosen = parser.parse_args()
    # in memory if possible: the faults are simulated, and thousands of fsyncs take long
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="s2st-torture-", dir=memory) as temporary:
        folder = chosen.folder or Path(temporary)
        with Warm(folder / "scratch") as warm:
            rows = [
                run_row(place, Setting(folder / name, warm, chosen.short, chosen.seed))
                for name, place in ROWS
                if not chosen.only or name in chosen.only
            ]
    print_table(rows)
    return 1 if any(row.lost or row.survived != row.cases for row in rows) else 0


def run_row(place: str, setting: Setting) -> Row:
    module, _, function = place.partition(":")
    setting.folder.mkdir(parents=True)
    started = time.perf_counter()
    row: Row = getattr(importlib.import_module(module), function)(setting)
    print(f"{row} {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return row


def print_table(rows: list[Row]) -> None:
    width = max(len(row.fault) for row in rows)
    print(f"| {'fault':<{width}} | {'cases':>6} | {'survived':>8} | {'lost':>4} |")
    print(f"|{'-' * (width + 2)}|{'-' * 7}:|{'-' * 9}:|{'-' * 5}:|")
    for row in rows:
        print(f"| {row.fault:<{width}} | {row.cases:>6} | {row.survived:>8} | {row.lost:>4} |")


if __name__ == "__main__":
    sys.exit(main())
