"""Run the steps of a study: each step is a command, which runs again only if it must.

A step is complete if `steps/NAME.json` records the same command and inputs, and its outputs are
unchanged. All paths are relative to the run folder, so you can move the folder. Each step has its
own session, so Ctrl-C reaches it only once, through the runner. On Linux the steps receive SIGTERM
if the runner is killed.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from s2st import __version__
from s2st.errors import S2STError
from s2st.process import durable_files, durable_folders
from s2st.process.folder_manifest import MANIFEST, check_size, files_of, read_sealed

POLL_SECONDS = 0.05
CHILD = Path(__file__).with_name("child.py")
# a closed terminal too; Windows has no SIGHUP
SIGNALS = [n for name in ("SIGINT", "SIGTERM", "SIGHUP") if (n := getattr(signal, name, None))]


@dataclass(frozen=True)
class Step:
    """One command of the study.

    Attributes:
        name: unique name, also of the stamp and the log.
        command: words after `s2st`; paths in it are relative to the run folder.
        inputs, outputs: files, stores or checkpoints, relative to the run folder.
        owned: files and folders to remove before the step starts over; `outputs` if empty.
        stdout: the output that receives the command's stdout, or "" to discard it.
        alone: whether the step runs alone on all cores, because its time is a result. After a
            stop it starts over.
        processes: of the command; several run under torchrun.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    owned: tuple[str, ...] = ()
    stdout: str = ""
    alone: bool = False
    processes: int = 1


class StudyError(Exception):
    """The study cannot go on; the message is one line for the user."""


class StoppedError(Exception):
    """A signal arrived, and the running steps have ended."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _Running:
    step: Step
    process: subprocess.Popen[bytes]
    started: float
    stamp: dict[str, Any]  # content of the stamp file


def machine() -> str:
    """Return the processor, the number of cores and the operating system."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n"):
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> str:
    """Return the versions of s2st, torch and Python."""
    torch = importlib.metadata.version("torch")
    return f"s2st {__version__}, torch {torch}, Python {platform.python_version()}"


class Runner:
    """Runs steps in a folder.

    Args:
        folder: the run folder.
        jobs: steps to run in parallel.
        threads: CPU threads of a step that does not run alone.
        say: called with each line of progress.
    """

    def __init__(self, folder: Path, jobs: int, threads: int, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.jobs = jobs
        self.threads = threads
        self.say = say
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._running: list[_Running] = []
        self._done: set[str] = set()
        self._signal = 0

    def run(self, steps: Sequence[Step]) -> None:
        """Run the steps that are not complete, in the given order as far as inputs allow.

        Raises:
            StudyError: a step failed (steps beside it finish first). Or, before any step starts:
                an input neither exists nor is made by a step, or two steps have the same name
                or output.
            StoppedError: one of SIGNALS arrived; running steps received SIGTERM and have ended.
        """
        for folder in ("steps", "logs"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        made_by: dict[str, str] = {}
        for step in steps:
            for output in step.outputs:
                if output in made_by:
                    raise StudyError(f"{output}: {made_by[output]} and {step.name} both make it")
                made_by[output] = step.name
        if len({step.name for step in steps}) < len(steps):
            raise StudyError("two steps have the same name")
        for step in steps:
            for path in step.inputs:
                if path not in made_by and not (self.folder / path).exists():
                    raise StudyError(f"{step.name}: {path} does not exist, and no step makes it")
        waiting = list(steps)
        failure: StudyError | None = None
        heeded = [
            n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN
        ]  # nohup ignores SIGHUP
        before = {number: signal.signal(number, self._stop) for number in heeded}
        try:
            while waiting or self._running:
                failure = self._collect(len(steps)) or failure
                if failure is None and not self._signal:
                    self._start_ready(waiting, made_by, len(steps))
                elif not self._running:
                    break
                time.sleep(POLL_SECONDS if self._running else 0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for item in self._running:  # only if the loop itself failed
                item.process.terminate()
                item.process.wait()
        if self._signal:
            raise StoppedError(self._signal)
        if failure is not None:
            raise failure

    def complete(self, step: Step) -> bool:
        """Return whether the step is complete for its present inputs."""
        stamp = self.stamp(step.name)
        if stamp.get("state") != "complete":
            return False
        try:
            outputs = {path: self._digest(path) for path in step.outputs}
            return bool(stamp["begun"] == self._begun(step) and stamp["outputs"] == outputs)
        except (OSError, KeyError, S2STError):
            return False

    def stamp(self, name: str) -> dict[str, Any]:
        """Return the stamp of a step; empty if it has none."""
        try:
            found = json.loads((self.folder / "steps" / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def log(self, name: str) -> Path:
        """Return the file that receives the stderr of a step."""
        return self.folder / "logs" / f"{name}.log"

    def _start_ready(self, waiting: list[Step], made_by: dict[str, str], total: int) -> None:
        for step in list(waiting):
            room = len(self._running) < (1 if step.alone else self.jobs)
            if not room or any(item.step.alone for item in self._running):
                continue
            if any(made_by.get(path, step.name) not in {*self._done, step.name}
                   for path in step.inputs):  # fmt: skip
                continue
            waiting.remove(step)
            if self.complete(step):
                self._done.add(step.name)
            else:
                self._start(step, total)

    def _start(self, step: Step, total: int) -> None:
        try:
            begun = self._begun(step)
        except OSError as error:
            raise StudyError(f"{step.name}: {error.filename}: {error.strerror}") from error
        stamp = self.stamp(step.name)
        if step.alone or stamp.get("begun") != begun or stamp.get("state") != "begun":
            self._clear(step)
            stamp = {"state": "begun", "begun": begun, "seconds": 0.0}
        for path in step.outputs:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        self._write_stamp(step.name, stamp)
        environment = dict(os.environ)
        environment.pop("OMP_NUM_THREADS", None)
        if not step.alone:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        count = len(self._done) + len(self._running) + 1
        self.say(f"[{count}/{total}] {step.name}$ s2st {' '.join(step.command)}")
        target = Path(os.devnull)
        if step.stdout:
            target = self.folder / f"{step.stdout}.part"
            target.unlink(
                missing_ok=True
            )  # not truncated: a step left from an earlier run may still write to it
        words = [sys.executable, "-m", "s2st_cli", *step.command]
        if step.processes > 1:
            count_flag = ("--nproc-per-node", str(step.processes))
            words[1:1] = ["-m", "torch.distributed.run", "--standalone", *count_flag]
        if sys.platform == "linux":
            words = [sys.executable, str(CHILD), str(os.getpid()), *words]
        with open(self.log(step.name), "ab") as errors, open(target, "wb") as output:
            process = subprocess.Popen(
                words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                env=environment, start_new_session=True,
            )  # fmt: skip
        self._running.append(_Running(step, process, time.monotonic(), stamp))
        if self._signal:  # the signal came before the process was registered
            process.terminate()

    def _clear(self, step: Step) -> None:
        """Remove the files of an earlier run of the step."""
        for path in step.owned or step.outputs:
            whole = self.folder / path
            if whole.is_dir() and not whole.is_symlink():
                durable_folders.remove_folder(whole)
            elif whole.exists() or whole.is_symlink():
                durable_files.remove_file(whole)
        self.log(step.name).unlink(missing_ok=True)

    def _collect(self, total: int) -> StudyError | None:
        """Record the steps that have ended; return the failure of one, if any."""
        failure = None
        for item in list(self._running):
            code = item.process.poll()
            if code is None:
                continue
            self._running.remove(item)
            name, stamp = item.step.name, item.stamp
            stamp["seconds"] = round(stamp["seconds"] + time.monotonic() - item.started, 2)
            if code == 0:
                self._finish(item.step, stamp)
                self._done.add(name)
                self.say(f"[{len(self._done)}/{total}] {name}: done, {stamp['seconds']:.0f} s")
                continue
            self._write_stamp(name, stamp)
            if not self._signal:
                failure = StudyError(f"step {name} failed: {self._reason(name, code)}")
                if self._running:
                    self.say(f"{failure}; waiting for the steps that run beside it")
        return failure

    def _reason(self, name: str, code: int) -> str:
        log = self.log(name)
        lines = log.read_text("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line), f"exit code {code}")
        if code < 0:  # the last line of its log does not say so
            last = f"signal {-code} ended it (out of memory?)"
        return f"{last} (full log: {log})"

    def _finish(self, step: Step, stamp: dict[str, Any]) -> None:
        if step.stdout:
            os.replace(self.folder / f"{step.stdout}.part", self.folder / step.stdout)
        stamp["state"] = "complete"
        try:
            stamp["outputs"] = {path: self._digest(path) for path in step.outputs}
        except OSError as error:
            raise StudyError(f"step {step.name} did not write {error.filename}") from error
        stamp["threads"] = "all" if step.alone else self.threads
        stamp["machine"], stamp["versions"] = machine(), versions()
        self._write_stamp(step.name, stamp)

    def _write_stamp(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=1) + "\n"
        durable_files.replace_file(self.folder / "steps" / f"{name}.json", text.encode())

    def _begun(self, step: Step) -> dict[str, Any]:
        """Return everything that the step's result depends on."""
        inputs = {path: self._digest(path) for path in step.inputs}
        return {"command": list(step.command), "inputs": inputs}

    def _digest(self, path: str) -> str:
        """Return the sha256 of a file, or of the manifest of a store or checkpoint.

        Raises:
            OSError: the file does not exist.
            CheckpointError: a file of the store or checkpoint is missing or cut short.
        """
        whole = self.folder / path
        if whole.is_dir():
            files = files_of(whole, read_sealed(whole))
            for name in files:
                check_size(whole, files, name)
            whole = whole / MANIFEST
        facts = whole.stat()
        key = (str(whole.resolve()), facts.st_mtime_ns, facts.st_size)
        if key not in self._hashes:
            self._hashes[key] = durable_files.sha256_of(whole)
        return self._hashes[key]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        for item in self._running:
            item.process.terminate()
