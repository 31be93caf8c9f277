"""Fuzzing for as long as it is given: `python tests/fuzz/run.py --minutes 10`.

Takes turns between the parsers and the checks of line identity, prints the cases of each, and
keeps the files of every failure, one per cause. Ends with 1 if there was one.
"""

import argparse
import logging
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # builders, fakes

import torch
from line_identity import LineIdentity
from parsers import make_targets

Check = Callable[[Random], None]
MAX_SECONDS = 20  # that one case may take
MAX_MEMORY = 2 << 30  # bytes beyond what the libraries take


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="other cases")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="a folder")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        checks = _checks(Path(folder))
        checks = {name: check for name, check in checks.items() if arguments.only in name}
        _limit_memory()
        loop = Loop(Path(folder), arguments.failures, arguments.seed)
        end = time.monotonic() + 60 * arguments.minutes
        number = arguments.first
        while checks and time.monotonic() < end:
            for name, check in checks.items():
                loop.one(name, check, number)
            number += 1
    for name in checks:
        print(f"{name:28} {loop.cases[name]:8} cases {loop.failed[name]:6} failures")
    return 1 if loop.failed else 0


def _checks(folder: Path) -> dict[str, Check]:
    checks: dict[str, Check] = {t.name: t.check for t in make_targets(folder / "parsers")}
    return {**checks, **LineIdentity(folder).checks()}


class Loop:
    """Runs cases and keeps the files of those that fail.

    Args:
        folder: where the targets keep their files.
        failures: where the files of failures go.
        seed: of all cases.
    """

    def __init__(self, folder: Path, failures: Path, seed: int) -> None:
        self.folder = folder
        self.failures = failures
        self.seed = seed
        self.cases: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._causes: set[str] = set()
        signal.signal(signal.SIGALRM, _too_long)

    def one(self, name: str, check: Check, number: int) -> None:
        """One case; it depends on the seed, the name and the number alone."""
        self.cases[name] += 1
        signal.alarm(MAX_SECONDS)
        try:
            check(Random(f"{self.seed} {name} {number}"))
        except Exception as error:
            self._keep(name, number, error)
        finally:
            signal.alarm(0)

    def _keep(self, name: str, number: int, error: BaseException) -> None:
        self.failed[name] += 1
        frames = traceback.extract_tb(error.__traceback__)
        cause = f"{name} {type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
        if cause in self._causes:
            return
        self._causes.add(cause)
        kept = self.failures / f"{name.replace('/', '-')}-{self.seed}-{number}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.folder, kept)
        (kept / "traceback.txt").write_text("".join(traceback.format_exception(error)))
        message = " ".join(str(error).split())[:300]
        print(f"{name}, case {number}: {type(error).__name__}: {message}\n  kept in {kept}")
        print(f"  again: --seed {self.seed} --only {name} --first {number}", flush=True)


class TooLongError(Exception):
    """A case that does not end."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLongError(f"more than {MAX_SECONDS} seconds")


def _limit_memory() -> None:
    """So that a file's claims end in MemoryError, which is a failure, and not in a full machine."""
    import resource

    pages = Path("/proc/self/statm")
    if pages.exists():
        used = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MAX_MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
