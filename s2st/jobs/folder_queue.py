"""A work queue whose finished tasks last: files in the folder OUTPUT.parts/.

`--resume` computes only the tasks that are missing there, and torchrun's ranks share the folder.
A claim is a lock on one byte of one file, which the kernel releases when its process ends. Two
ranks that compute the same task write the same bytes, so results never depend on the locks.
"""

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from s2st.errors import InputMissingError, OutputError, UsageError
from s2st.jobs.work_queue import TaskName, WorkQueue
from s2st.options.config import load_json
from s2st.process import durable_files
from s2st.process.auxiliary_files import AuxiliaryFile, describe
from s2st.process.ranks import Ranks, process_group
from s2st.process.stop_signals import held

log = logging.getLogger("s2st")
SUFFIX = ".parts"
JOB = "job"
CLAIMS = "claims"
HEAD = "s2st work queue\n"  # begins the job file; the identity as JSON follows
REMEDY = "name another --output-file"
OPENING = (1 << 62) - 1  # byte of the claims file that is locked while the folder is opened
PRESENT = OPENING - 1  # byte that every process of the job locks until it ends
PROGRESS_INTERVAL = 0.5  # seconds between two counts of what all ranks have finished
_TASK_FILE = re.compile(r"\d+\+\d+")


class FolderQueue(WorkQueue):
    """The folder OUTPUT.parts/ of one job, as one process sees it.

    Args:
        output: the file that the job writes.
        identity: what the results depend on (models, options, content of the inputs, ...).
        resume: whether to go on with the results of an earlier run.
        ranks: the processes that share the job.
        rank_timeout: seconds that an idle rank waits for the others.
        progress: receives the number of lines that all ranks have finished, now and then.

    Raises:
        UsageError: the folder holds a job with another identity, and `resume` is set.
        OutputError: the folder cannot be written, is not s2st's, or another process has it.
    """

    def __init__(
        self,
        output: Path,
        identity: Mapping[str, Any],
        resume: bool,
        ranks: Ranks,
        rank_timeout: float,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(ranks)
        self.path = output.with_name(output.name + SUFFIX)
        self.group = contextlib.ExitStack()  # the ranks that have met stay joined until it closes
        self._timeout = rank_timeout
        self._progress = progress
        self._reported = 0.0
        self._locks = True
        self._check_folder()
        durable_files.make_folder(self.path)
        self._claims = AuxiliaryFile(self.path / CLAIMS, None, "claims", REMEDY)
        try:
            self._lock(OPENING, wait=True)
            self._open(HEAD + json.dumps(dict(identity), sort_keys=True), resume)
            self._unlock(OPENING)
        except BaseException:
            self._claims.close()
            raise

    def claim(self, number: int) -> bool:
        """Reserves tasks until this process ends; False where another process has them."""
        mine = self._lock(number)
        self._report()
        return mine

    def finished(self, task: TaskName) -> bool:
        """Whether the result of a task is in the folder."""
        return (self.path / task.file).exists()

    def read(self, task: TaskName) -> Any:
        """The result of a finished task, None where the task is not finished."""
        try:
            data = (self.path / task.file).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"{self.path / task.file}: cannot be read: {error.strerror}"
            raise InputMissingError(message) from error
        result = _decode(data)
        if result is None:
            raise InputMissingError(f"{self.path / task.file}: damaged; run with --resume again")
        return result

    def publish(self, task: TaskName, result: Any) -> None:
        """Keeps a result, whole or not at all; raises OutputError."""
        with held():
            durable_files.publish_file(self.path / task.file, _encode(result))
        self._report()

    def meet(self) -> None:
        """Waits until every rank is here: all tasks are finished then.

        The ranks stay joined until the job is done.

        Raises:
            LostRankError: a rank ended, or needs longer than the time-out for its last tasks.
        """
        import torch

        self.group.enter_context(process_group(self.ranks, torch.device("cpu"), self._timeout))
        self._report(now=True)

    def close(self, finished: bool) -> None:
        """Releases the locks, and removes the folder where nothing in it is needed any more.

        Args:
            finished: whether the output is whole.
        """
        empty = self.ranks.size == 1 and not self._tasks()
        if self.ranks.first and (finished or empty):
            self._remove()
        self._claims.close()

    def _check_folder(self) -> None:
        """Refuses a folder that s2st did not make, since its content is removed at the end."""
        if not os.path.lexists(self.path):
            return
        if self.path.is_symlink() or not self.path.is_dir():
            raise OutputError(
                f"{self.path}: not a folder of a stopped run of s2st; move it, or {REMEDY}"
            )
        for name in os.listdir(self.path):
            if name not in (JOB, CLAIMS) and not _TASK_FILE.fullmatch(name) and name[0] != ".":
                message = f"{self.path}: holds {name!r}, which is not of a stopped run of s2st"
                raise OutputError(f"{message}; move it, or {REMEDY}")

    def _open(self, job: str, resume: bool) -> None:
        """Joins the other ranks in the folder; the first process there decides what is kept."""
        alone = self._lock(PRESENT)
        if not alone and self.ranks.size == 1:
            raise OutputError(
                f"{self.path}: another process writes this output; stop it, or name another "
                "--output-file"
            )
        path = self.path / JOB
        found = ""
        if os.path.lexists(path):
            kind = describe(path)
            if kind:
                raise OutputError(f"{path}: this is {kind}; move it, or {REMEDY}")
            found = path.read_text("utf-8", "replace")
            if not found.startswith(HEAD):
                raise OutputError(f"{path}: s2st did not write it; move it, or {REMEDY}")
        restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        go_on = resume or restarted or not alone or not self._locks
        if found and go_on and found != job:
            what = differences(found, job) or "its job, which is damaged"
            raise UsageError(
                f"{self.path}: left by a run that differs in {what}; run without --resume, or "
                "name another --output-file"
            )
        if found and go_on:
            if alone:
                self._drop_damaged()
            self.resumed = sum(task.lines for task in self._tasks())
        elif alone:
            tasks = self._tasks()
            if tasks:
                log.warning("%s: left by a stopped run; --resume would go on with it", self.path)
            elif resume:
                log.info("%s: nothing to resume, starting at the beginning", self.path)
            for task in tasks:
                durable_files.remove_file(self.path / task.file)
            durable_files.publish_file(path, job.encode())
        if self.ranks.size > 1:
            self._lock(PRESENT, shared=True)

    def _tasks(self) -> list[TaskName]:
        names = [name.split("+") for name in os.listdir(self.path) if _TASK_FILE.fullmatch(name)]
        return [TaskName(int(number), int(lines)) for number, lines in names]

    def _drop_damaged(self) -> None:
        for task in self._tasks():
            path = self.path / task.file
            if path.is_symlink() or not path.is_file() or _decode(path.read_bytes()) is None:
                log.warning("%s: damaged, computed again", path)
                durable_files.remove_file(path)

    def _remove(self) -> None:
        for name in sorted(os.listdir(self.path)):
            if name in (JOB, CLAIMS) or _TASK_FILE.fullmatch(name) or name[0] == ".":
                durable_files.remove_file(self.path / name)
        with contextlib.suppress(OSError):  # somebody else put a file there
            self.path.rmdir()

    def _lock(self, byte: int, wait: bool = False, shared: bool = False) -> bool:
        """Locks a byte of the claims; False where another process has it."""
        try:
            import fcntl
        except ImportError:  # Windows: every rank computes what is not finished
            return True
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.lockf(self._claims.stream, kind | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if self._locks:
                self._locks = False
                log.warning("%s: no locks here (%s): ranks repeat work", self.path, error.strerror)
        return True

    def _unlock(self, byte: int) -> None:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.lockf(self._claims.stream, fcntl.LOCK_UN, 1, byte)

    def _report(self, now: bool = False) -> None:
        interval = time.monotonic() - self._reported
        if self._progress is not None and (now or interval > PROGRESS_INTERVAL):
            self._progress(sum(task.lines for task in self._tasks()))
            self._reported = time.monotonic()


def differences(found: str, wanted: str) -> str:
    """The names of what differs between two job files; empty where one is damaged."""
    try:
        before, now = (load_json(text.removeprefix(HEAD)) for text in (found, wanted))
        names = sorted(before.keys() | now.keys())
        return ", ".join(name for name in names if before.get(name) != now.get(name))
    except (ValueError, AttributeError):
        return ""


def _encode(result: Any) -> bytes:
    """A result with its checksum in the first line, which finds a torn or damaged file."""
    data = json.dumps(result).encode()
    return blake2b(data, digest_size=16).hexdigest().encode() + b"\n" + data


def _decode(data: bytes) -> Any:
    """The result in the bytes of a file, None where they are damaged."""
    checksum, _, body = data.partition(b"\n")
    if blake2b(body, digest_size=16).hexdigest().encode() != checksum:
        return None
    try:
        return load_json(body)
    except ValueError:
        return None
