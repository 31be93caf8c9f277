"""Rows of two training processes under torchrun: one is killed, or hangs, at a random time."""

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
HANGS, SHORT_HANGS = 5, 1
RESTARTS = 3
RANK_TIMEOUT = 5  # of a hang; starting up may differ by more on a busy machine
BOUND = 90  # seconds from a hang to the end: the time-out, and torchrun's 30 s of patience
LIMIT = 300
ROOT = Path(__file__).resolve().parents[2]


def killed(setting: Setting) -> Row:
    """A worker gets SIGKILL; torchrun starts both again, which end as one process does alone."""
    count = SHORT_KILLS if setting.short else KILLS
    draw = random.Random(setting.seed)
    store, straight = _straight(setting)
    seconds = _straight_pair(setting.folder, store)
    survived = lost = 0
    for number in range(count):
        save = setting.folder / f"kill{number}"
        agent = _start(store, save, timeout=LIMIT)
        time.sleep(draw.uniform(0.2, 1.0) * seconds)
        for worker in draw.sample(_workers(agent), k=1) if _workers(agent) else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        code = _end(agent)
        alike = (save / "checkpoint_last").exists() and end_of(save) == straight
        good = code == 0 and alike and not leftovers(save)
        if not good:
            print(
                f"kill {number}: exit {code}, same end {alike}", *leftovers(save), file=sys.stderr
            )
            print((setting.folder / f"kill{number}.log").read_text()[-3000:], file=sys.stderr)
        survived, lost = survived + good, lost + (not good)
        shutil.rmtree(save, ignore_errors=True)
    return Row("a worker of two killed, torchrun restarts both", count, survived, lost)


def hung(setting: Setting) -> Row:
    """A worker gets SIGSTOP: the run ends by itself within a bound, and goes on alike later."""
    count = SHORT_HANGS if setting.short else HANGS
    draw = random.Random(setting.seed + 1)
    store, straight = _straight(setting)
    seconds = _straight_pair(setting.folder, store)
    survived = lost = 0
    for number in range(count):
        save = setting.folder / f"hang{number}"
        agent = _start(store, save, restarts=0)
        time.sleep(draw.uniform(0.5, 0.9) * seconds)
        for worker in draw.sample(_workers(agent), k=1) if _workers(agent) else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGSTOP)
        ended = _end(agent, BOUND) is not None
        good = ended and _end(_start(store, save, timeout=LIMIT)) == 0 and end_of(save) == straight
        survived, lost = survived + good, lost + (not good)
        shutil.rmtree(save, ignore_errors=True)
    return Row("a worker of two hangs: ended within its bound", count, survived, lost)


def _straight(setting: Setting) -> tuple[Path, str]:
    """The store, and what one process that accumulates the same batches ends with."""
    write_texts(setting.folder)
    store = setting.folder / "store"
    made = preprocess(setting.warm, setting.folder, store)
    assert made.code == 0, made.err
    save = setting.folder / "straight"
    outcome = setting.warm.run("train", store, "--save-dir", save, *OPTIONS, "--update-freq", "2")
    assert outcome.code == 0, outcome.err
    return store, end_of(save)


def _straight_pair(folder: Path, store: Path) -> float:
    """Seconds of two workers without a fault."""
    started = time.monotonic()
    code = _end(_start(store, folder / "pair", timeout=LIMIT))
    assert code == 0, "two workers without a fault failed"
    return time.monotonic() - started


def _start(
    store: Path, save: Path, restarts: int = RESTARTS, timeout: int = RANK_TIMEOUT
) -> "subprocess.Popen[bytes]":
    words = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--max-restarts", str(restarts), "-m", "s2st_cli", "train", str(store),
        "--save-dir", str(save), *OPTIONS, "--update-freq", "2",
        "--rank-timeout", str(timeout),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with open(f"{save}.log", "ab") as log:
        return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=log)


def _workers(agent: "subprocess.Popen[bytes]") -> list[int]:
    """Process numbers of torchrun's workers."""
    path = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    with contextlib.suppress(OSError):
        return [int(number) for number in path.read_text().split()]
    return []


def _end(agent: "subprocess.Popen[bytes]", limit: float = LIMIT) -> int | None:
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
