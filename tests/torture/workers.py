"""Rows of two training processes under torchrun: one is killed, or hangs, at a random place.

The place is drawn by progress, not by the clock, which says little on a busy machine: some faults
come while the processes start and join, the others after a checkpoint that is drawn, and a moment
that is drawn too. A run that had ended before its fault came is done again.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from report import Row, Setting
from small_run import OPTIONS, end_of, leftovers, preprocess, write_texts

KILLS, SHORT_KILLS = 20, 1
HANGS, SHORT_HANGS = 8, 1
RESTARTS = 3
UPDATES, SAVED_EVERY = 80, 4
EARLY = 4  # of so many cases the last is hit before the first checkpoint
LATER = 0.4  # seconds after a checkpoint, at most
RANK_TIMEOUT = 20  # of a hang; a busy machine may start two processes seconds apart
BOUND = 200  # seconds from a hang to the end: the time-out, torchrun's 30 s, and a slow machine
LIMIT = 300  # of all else, on the slowest machine
ROOT = Path(__file__).resolve().parents[2]


def killed(setting: Setting) -> Row:
    """A worker gets SIGKILL; torchrun starts both again, which end as one process does alone."""
    count = SHORT_KILLS if setting.short else KILLS
    faults = _Faults(setting, setting.seed)
    survived = 0
    for number in range(count):
        agent, save = faults.inject(number, signal.SIGKILL, RESTARTS, LIMIT)
        started = time.monotonic()
        code = _end(agent, LIMIT)
        problems = [] if code == 0 else [f"exit {code}"]
        survived += faults.judge(save, problems, time.monotonic() - started)
    return Row("a worker of two killed, torchrun restarts both", count, survived, count - survived)


def hung(setting: Setting) -> Row:
    """A worker gets SIGSTOP: the run ends by itself within a bound, and goes on alike later."""
    count = SHORT_HANGS if setting.short else HANGS
    faults = _Faults(setting, setting.seed + 1)
    survived = 0
    for number in range(count):
        agent, save = faults.inject(number, signal.SIGSTOP, 0, RANK_TIMEOUT)
        started = time.monotonic()
        problems = [] if _end(agent, BOUND) is not None else [f"not ended within {BOUND} s"]
        seconds = time.monotonic() - started
        if f"--rank-timeout {RANK_TIMEOUT} seconds" not in _log(save).read_text():
            problems.append("no error that names --rank-timeout")
        code = _end(faults.start(save, 0, LIMIT), LIMIT)
        problems += [] if code == 0 else [f"exit {code} when gone on with"]
        survived += faults.judge(save, problems, seconds)
    return Row("a worker of two hangs: ended within its bound", count, survived, count - survived)


class _Faults:
    """Runs of two workers, in each of which one is hit at a place that is drawn."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self._folder = setting.folder
        self._draw = random.Random(seed)
        write_texts(setting.folder)
        self._store = setting.folder / "store"
        made = preprocess(setting.warm, setting.folder, self._store)
        assert made.code == 0, made.err
        alone = setting.folder / "straight"
        ended = setting.warm.run(*self._command(alone, LIMIT))
        assert ended.code == 0, ended.err
        self._straight = end_of(alone)

    def inject(
        self, number: int, fault: signal.Signals, restarts: int, timeout: int
    ) -> "tuple[subprocess.Popen[bytes], Path]":
        """The agent of a run of which one worker has been hit, and the run's save folder."""
        save = self._folder / f"{fault.name}-{number}"
        while True:
            after = 0  # updates saved
            if (number + 1) % EARLY:
                after = self._draw.randrange(SAVED_EVERY, UPDATES + 1, SAVED_EVERY)
            wait = self._draw.uniform(0, LATER if after else 4)
            rank = self._draw.randrange(2)
            self._place = f"rank {rank}, {wait:.2f} s after " + (
                f"update {after} was saved" if after else "the start"
            )
            agent = self.start(save, restarts, timeout)
            while agent.poll() is None and (_saved(save) < after or len(_workers(agent)) < 2):
                time.sleep(0.002)
            time.sleep(wait)
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(_workers(agent)[rank], fault)
                return agent, save
            _end(agent, LIMIT)  # both workers had ended
            shutil.rmtree(save, ignore_errors=True)

    def judge(self, save: Path, problems: list[str], seconds: float) -> bool:
        """Says how a case ended and takes its files away; whether all is well."""
        if not (save / "checkpoint_last").exists() or end_of(save) != self._straight:
            problems.append("another end than the straight run's")
        problems += map(str, leftovers(save))
        verdict = "; ".join(problems) or "well"
        said = f"{save.name}: {self._place}: ended after {seconds:.1f} s, {verdict}"
        print(said, file=sys.stderr, flush=True)
        if problems:
            print(_log(save).read_text()[-6000:], file=sys.stderr, flush=True)
        shutil.rmtree(save, ignore_errors=True)
        return not problems

    def start(self, save: Path, restarts: int, timeout: int) -> "subprocess.Popen[bytes]":
        """torchrun's agent with two workers."""
        words = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            "--max-restarts", str(restarts), "-m", "s2st_cli", *self._command(save, timeout),
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with open(_log(save), "ab") as log:
            return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=log)

    def _command(self, save: Path, timeout: int) -> list[str]:
        own = {"--max-update", "--save-interval-updates"}  # given below
        pairs = zip(OPTIONS[::2], OPTIONS[1::2], strict=True)
        options = [word for pair in pairs if pair[0] not in own for word in pair]
        return [
            "train", str(self._store), "--save-dir", str(save), *options, "--update-freq", "2",
            "--max-update", str(UPDATES), "--save-interval-updates", str(SAVED_EVERY),
            "--patience", str(UPDATES), "--rank-timeout", str(timeout),
        ]  # fmt: skip


def _log(save: Path) -> Path:
    return save.with_name(f"{save.name}.log")


def _saved(save: Path) -> int:
    """The update of the last checkpoint, 0 where there is none."""
    try:
        return int(os.readlink(save / "checkpoint_last").rstrip("+").rpartition("_")[2])
    except OSError:
        return 0


def _workers(agent: "subprocess.Popen[bytes]") -> list[int]:
    """Process numbers of torchrun's workers, by rank; those that have ended are not among them."""
    path = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    found = {}
    with contextlib.suppress(OSError):
        for number in path.read_text().split():
            values = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
            found |= {int(v[5:]): int(number) for v in values if v.startswith(b"RANK=")}
    return [found[rank] for rank in sorted(found)]


def _end(agent: "subprocess.Popen[bytes]", limit: float) -> int | None:
    """The exit code; None where it had to be killed."""
    try:
        return agent.wait(limit)
    except subprocess.TimeoutExpired:
        for worker in _workers(agent):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        agent.kill()
        agent.wait()
        return None
