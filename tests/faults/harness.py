"""Runs of s2st with a fault in the durable operation of a given number, in forked processes.

    S2ST_FAULT=kill:17 python tests/faults/harness.py train store --save-dir model

`Warm` starts this file once as a server that has imported torch and forks a child for each run.
Faults, counted from 1: `kill:N` (SIGKILL before the operation), `fail:N:ENOSPC` (it raises that
error), `log:FOLDER` (every operation is noted there, with the content of synced files).
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL
NAMES = ("create", "write", "sync", "rename", "link", "mkdir", "remove")


class Fault:
    """The observer that a fault's text asks for; counts what passes."""

    def __init__(self, text: str) -> None:
        self.kind, _, rest = text.partition(":")
        assert self.kind in ("kill", "fail", "log", "count"), text
        self.number, self.error, self.folder = 0, 0, Path()
        if self.kind == "log":
            self.folder = Path(rest)
            self.folder.mkdir(parents=True)
        elif self.kind != "count":
            number, _, name = rest.partition(":")
            self.number, self.error = int(number), getattr(errno, name or "EIO")
        self.operations: list[str] = []
        self._written: Path | None = None

    def __call__(self, operation: str, path: Path, other: str) -> None:
        assert operation in NAMES
        if self.kind == "log":
            self._log(operation, path, other)
        self.operations.append(operation)
        if len(self.operations) == self.number:
            if self.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.error, os.strerror(self.error), str(path))

    def _log(self, operation: str, path: Path, other: str) -> None:
        """What a write left is read at the next operation, just before it changes anything."""
        if self._written is not None:
            number = len(self.operations)
            if self._written.exists():
                shutil.copyfile(self._written, self.folder / str(number))
        self._written = path if operation == "write" else None
        with open(self.folder / "operations", "a", encoding="utf-8") as stream:
            stream.write(json.dumps([operation, os.path.abspath(path), other]) + "\n")


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exit code (negative: the signal), its stderr, operations where counted."""

    code: int
    err: str
    operations: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("s2st: error:")]


def run_here(arguments: list[str], fault: str) -> tuple[int, list[str]]:
    """Runs s2st in this process; the exit code and the operations."""
    from s2st.process import durable_files
    from s2st_cli.main import run

    observer = Fault(fault or "count")
    durable_files._observe = observer
    code = run(arguments)
    durable_files._observe = None
    sys.stderr.flush()
    return code, observer.operations


def _fork(request: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """One run in a child; SIGKILL after `kill_after` seconds, where that is given."""
    started = time.perf_counter()
    err = scratch / f"err-{os.getpid()}"
    counted = scratch / f"operations-{os.getpid()}"
    child = os.fork()
    if child == 0:
        try:
            descriptor = os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            for name, value in request.get("limits", {}).items():
                import resource

                resource.setrlimit(getattr(resource, name), (value, value))
            os.chdir(request["cwd"])
            code, operations = run_here(request["arguments"], request.get("fault", ""))
            if not request.get("limits"):
                counted.write_text(json.dumps(operations))
            os._exit(code)
        finally:
            os._exit(99)
    status = _wait(child, request.get("kill_after"))
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    operations = json.loads(counted.read_text()) if code >= 0 and counted.exists() else []
    counted.unlink(missing_ok=True)
    text = err.read_text("utf-8", "replace") if err.exists() else ""
    err.unlink(missing_ok=True)
    return {"code": code, "err": text, "operations": operations, "seconds": seconds}


def _wait(child: int, kill_after: float | None) -> int:
    if kill_after is not None:
        end = time.perf_counter() + kill_after
        while time.perf_counter() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


class Warm:
    """A process that has imported everything: a run in a fork of it takes no time to start."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve", str(scratch)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path.rstrip(os.pathsep)},
        )  # fmt: skip

    def run(
        self, *arguments: object, fault: str = "", kill_after: float | None = None,
        limits: dict[str, int] | None = None,
    ) -> Outcome:  # fmt: skip
        """One run of s2st in the current folder; `limits` are names of RLIMIT_... and bytes."""
        request = {
            "arguments": [str(argument) for argument in arguments], "fault": fault,
            "kill_after": kill_after, "limits": limits or {}, "cwd": os.getcwd(),
        }  # fmt: skip
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the server is gone"
        answer = json.loads(line)
        return Outcome(
            answer["code"], answer["err"], tuple(answer["operations"]), answer["seconds"]
        )

    def close(self) -> None:
        """Ends the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> "Warm":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def _serve(scratch: Path, requests: TextIO, answers: TextIO) -> None:
    import safetensors.torch  # noqa: F401
    import torch._dynamo  # what the first optimiser imports

    import s2st.training.save_folder_lock
    import s2st.training.trainer  # noqa: F401
    import s2st_cli.export
    import s2st_cli.preprocess
    import s2st_cli.train  # noqa: F401

    torch.set_num_threads(1)  # and never a gradient in this process: its forks could make none
    for line in requests:
        answers.write(json.dumps(_fork(json.loads(line), scratch)) + "\n")
        answers.flush()


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(Path(sys.argv[2]), sys.stdin, sys.stdout)
    else:
        sys.path.insert(0, str(ROOT))
        sys.exit(run_here(sys.argv[1:], os.environ.get("S2ST_FAULT", ""))[0])
