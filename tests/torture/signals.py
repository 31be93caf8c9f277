"""Rows of signals that ask to stop, at random times: what is there is whole, and goes on alike."""

import contextlib
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from report import Row, Setting
from small_run import OPTIONS, WORDS, SmallRun

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MAX_STARTS = 100  # of a run that is stopped again and again
LINES = 600
GENERATE = """
    --buffer-size 32 --batch-size 8 --beam 3 --max-len-a 0 --max-len-b 12 --threads 1 --device cpu
""".split()  # noqa: SIM905
FORMATS = (["text"], ["moses", "--nbest", "2"], ["json"])
# children of a process that has imported everything: none of the time goes into starting
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["torch", "torch._dynamo", "safetensors.torch", "s2st.training.trainer", "s2st_cli.train"]
)


@dataclass(frozen=True)
class Stop:
    """A signal, and the seconds that it comes after its handlers were installed."""

    number: signal.Signals
    delay: float


@dataclass(frozen=True)
class Ending:
    """How a run ended: exit code, lines on stderr, and the signal it was sent, None if in vain."""

    code: int
    err: list[str]
    sent: signal.Signals | None

    @property
    def clean(self) -> bool:
        """Ended by itself, or by the signal with one line that says so."""
        if self.code == 0:
            return True
        named = [line for line in self.err if "stopped by" in line]
        return (
            self.sent is not None
            and self.code == 128 + self.sent
            and len(named) == 1
            and named == self.err[-1:]
            and f"stopped by {self.sent.name}" in named[0]
            and all(line.startswith("s2st: ") for line in self.err)
        )


def training(setting: Setting) -> Row:
    """Trainings stopped until they are done; each stop has to save the update that it names."""
    run = SmallRun.straight(setting.warm, setting.folder)

    def start(folder: Path, number: int, how: Stop) -> tuple[Ending, bool]:
        save_dir = folder / "model"
        arguments = ["train", str(run.store), "--save-dir", str(save_dir), *OPTIONS]
        ending = stop_warm(arguments, how, folder / "err")
        found = re.search(r"stopped by \w+ at update (\d+); saved", " ".join(ending.err[-1:]))
        saved = not found or os.readlink(save_dir / "checkpoint_last").endswith(f"_{found[1]:0>7}")
        return ending, saved

    def alike(folder: Path, number: int) -> bool:
        return run.ends_alike(folder / "model")

    return _chains(setting, "training stopped by a signal", run.seconds, start, alike)


def generating(setting: Setting) -> Row:
    """Translations stopped and resumed until they are done, in each format."""
    run = SmallRun.straight(setting.warm, setting.folder)
    draw = random.Random(setting.seed)
    source = setting.folder / "source"
    words = WORDS["en"].split()
    lines = [" ".join(draw.choices(words, k=draw.randrange(12))) for _ in range(LINES)]
    source.write_text("".join(f"{line}\n" for line in lines))
    model = str(setting.folder / "straight" / "checkpoint_best")
    straight = []
    started = time.perf_counter()
    for form in FORMATS:
        command = ["generate", "--checkpoint", model, str(source), *GENERATE, "--format", *form]
        outcome = run.warm.run(*command, "-o", setting.folder / form[0])
        assert outcome.code == 0, outcome.err
        straight.append((command, (setting.folder / form[0]).read_bytes()))
    seconds = (time.perf_counter() - started) / len(FORMATS)

    def start(folder: Path, number: int, how: Stop) -> tuple[Ending, bool]:
        command, whole = straight[number % len(FORMATS)]
        arguments = [*command, "--resume", "-o", str(folder / "out")]
        ending = stop_warm(arguments, how, folder / "err")
        data = (folder / "out").read_bytes() if (folder / "out").exists() else b""
        return ending, whole.startswith(data) and data[-1:] in (b"", b"\n")

    def alike(folder: Path, number: int) -> bool:
        return (folder / "out").read_bytes() == straight[number % len(FORMATS)][1]

    return _chains(setting, "generate stopped by a signal, then --resume", seconds, start, alike)


def starting(setting: Setting) -> Row:
    """Commands stopped while Python, torch and the model are being loaded."""
    run = SmallRun.straight(setting.warm, setting.folder)
    texts = [str(setting.folder / f"train.{language}") for language in ("en", "fr")]
    model = ["--checkpoint", str(setting.folder / "straight" / "checkpoint_best"), "--threads", "1"]
    (setting.folder / "lists").write_text("0 ||| v w ||| A= 1 ||| -1\n")
    commands = [
        ["generate", *model, texts[0]],
        ["score", *model, "--source", texts[0], "--target", texts[1]],
        ["rescore-nbest", *model, str(setting.folder / "lists"), "--source", texts[0]],
        ["train", str(run.store), "--save-dir", str(setting.folder / "model"), *OPTIONS],
    ]
    cases = survived = 0
    draw = random.Random(setting.seed)
    for number in range(3 if setting.short else 40):
        out = setting.folder / "out"
        how = Stop(STOPS[number % len(STOPS)], draw.uniform(0, 3))
        ending = stop_cold(commands[number % len(commands)], how, out)
        data = out.read_bytes()
        cases += 1
        survived += ending.clean and data[-1:] in (b"", b"\n")
    return Row("command stopped by a signal as it starts", cases, survived, cases - survived)


def _chains(
    setting: Setting,
    fault: str,
    seconds: float,
    start: Callable[[Path, int, Stop], tuple[Ending, bool]],
    alike: Callable[[Path, int], bool],
) -> Row:
    """A case is a signal; it survives where all of its run's chain was well, to the last byte."""
    wanted = 6 if setting.short else 200
    draw = random.Random(setting.seed)
    cases = survived = number = 0
    while cases < wanted:
        folder = setting.folder / f"run-{number}"
        folder.mkdir()
        stops, good, code = 0, True, -1
        while good and code != 0 and stops < MAX_STARTS:
            how = Stop(STOPS[(cases + stops) % len(STOPS)], draw.uniform(0, seconds))
            ending, whole = start(folder, number, how)
            code = ending.code
            good = ending.clean and whole
            stops += code != 0
        good = good and code == 0 and alike(folder, number)
        cases += stops
        survived += stops if good else 0
        number += 1
    return Row(f"{fault} at a random time", cases, survived, cases - survived)


def stop_warm(arguments: list[str], how: Stop, err: Path) -> Ending:
    """Runs s2st in a fork and sends it the signal."""
    process = CONTEXT.Process(target=_child, args=(arguments, str(err)))
    process.start()
    assert process.pid is not None
    _wait_for_handlers(process.pid, process.is_alive)
    process.join(how.delay)
    sent = None
    if process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, how.number)
            sent = how.number
    process.join(120)
    assert process.exitcode is not None, f"{arguments} goes on after {how}"
    return Ending(process.exitcode, err.read_text("utf-8").splitlines(), sent)


def _child(arguments: list[str], err: str) -> None:
    from s2st_cli.__main__ import entry_point

    heed_signals()
    os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["s2st", *arguments]
    entry_point()


def stop_cold(arguments: list[str], how: Stop, out: Path) -> Ending:
    """The same for a new process whose standard output is the file `out`."""
    with (
        open(out, "wb") as stdout,
        subprocess.Popen(
            [sys.executable, "-m", "s2st_cli", *arguments], stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process,
    ):  # fmt: skip
        _wait_for_handlers(process.pid, lambda: process.poll() is None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(how.delay)
        sent = how.number if process.poll() is None else None
        process.send_signal(how.number)
        _, err = process.communicate(timeout=120)
    return Ending(process.returncode, err.splitlines(), sent)


def heed_signals() -> None:
    """What a shell may have had its background jobs ignore."""
    for stop in STOPS:
        signal.signal(stop, signal.SIG_DFL)


def _wait_for_handlers(process: int, alive: Callable[[], bool]) -> None:
    """Until the process catches all of them: one after the other, on a busy machine."""
    bits = sum(1 << (stop - 1) for stop in STOPS)
    while alive():
        with contextlib.suppress(OSError):
            caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
            if caught and int(caught[1], 16) & bits == bits:
                return
        time.sleep(0.002)
