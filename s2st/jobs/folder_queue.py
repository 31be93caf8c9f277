"""A work queue on disk: each finished task is a file in the folder OUTPUT.parts/.

`--resume` computes only the missing tasks, and torchrun's ranks share the folder. A claim is a lock
on one byte of a file, which the kernel releases when the process ends. Two ranks that compute the
same task write the same bytes, so results never depend on the locks.
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
from s2st.options.option_fields import load_json
from s2st.process import durable_files, durable_folders
from s2st.process.lock_files import AuxiliaryFile, describe
from s2st.process.ranks import Ranks, process_group
from s2st.process.stop_signals import held

log = logging.getLogger("s2st")
SUFFIX = ".parts"
JOB = "job"
CLAIMS = "claims"
HEAD = "s2st work queue\n"  # start of the job file; the identity follows as JSON
REMEDY = "name another --output-file"
OPENING = (1 << 62) - 1  # byte of the claims file, locked while a process opens the folder
PRESENT = OPENING - 1  # byte that each process of the job locks until it ends
PROGRESS_INTERVAL = 0.5  # seconds between two counts of the finished tasks of all ranks
_TASK_FILE = re.compile(r"\d+\+\d+")


class FolderQueue(WorkQueue):
    """The folder OUTPUT.parts/ of one job, opened by one process.

    Args:
        output: the file that the job writes.
        identity: everything that the results depend on (models, options, content of inputs, ...).
        resume: whether to use the finished tasks of an earlier run.
        ranks: this process among the ranks of the job.
        rank_timeout: seconds that an idle rank waits for the others.
        progress: called from time to time with the number of lines that all ranks have finished.

    Attributes:
        group: the process group of ranks that have met; closing it leaves the group.

    Raises:
        UsageError: `resume` is set, and the folder belongs to a job with another identity.
        OutputError: the folder cannot be written, s2st did not create it, or another process
            uses it.
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
        self.group = contextlib.ExitStack()
        self._timeout = rank_timeout
        self._progress = progress
        self._reported = 0.0
        self._locks = True
        self._check_folder()
        durable_folders.make_folder(self.path)
        self._claims = AuxiliaryFile(self.path / CLAIMS, None, "claims", REMEDY)
        try:
            self._lock(OPENING, wait=True)
            self._open(HEAD + json.dumps(dict(identity), sort_keys=True), resume)
            self._unlock(OPENING)
        except BaseException:
            self._claims.close()
            raise

    def claim(self, number: int) -> bool:
        """Reserve tasks until this process ends; return False if another process has them."""
        claimed = self._lock(number)
        self._report()
        return claimed

    def finished(self, task: TaskName) -> bool:
        """Whether the folder has the result of a task."""
        return (self.path / task.file).exists()

    def read(self, task: TaskName) -> Any:
        """Return the result of a task, None if the task is not finished.

        Raises:
            InputMissingError: the file is damaged or cannot be read.
        """
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
        """Write a result, completely or not at all.

        Raises:
            OutputError: the result cannot be written.
        """
        with held():
            durable_files.publish_file(self.path / task.file, _encode(result))
        self._report()

    def meet(self) -> None:
        """Wait until every rank has called this method; all tasks are then finished.

        The process group stays open until `group` closes.

        Raises:
            LostRankError: a rank ended, or exceeded the timeout.
        """
        import torch

        self.group.enter_context(process_group(self.ranks, torch.device("cpu"), self._timeout))
        self._report(now=True)

    def close(self, finished: bool) -> None:
        """Release the locks, and remove the folder if no later run needs it.

        Args:
            finished: whether the output is complete.
        """
        empty = self.ranks.size == 1 and not self._tasks()
        if self.ranks.first and (finished or empty):
            self._remove()
        self._claims.close()

    def _check_folder(self) -> None:
        """Refuse a folder that s2st did not create, because the job removes it at the end."""
        if not os.path.lexists(self.path):
            return
        if self.path.is_symlink() or not self.path.is_dir():
            raise OutputError(
                f"{self.path}: not the folder of a stopped run of s2st; move it, or {REMEDY}"
            )
        for name in os.listdir(self.path):
            if name not in (JOB, CLAIMS) and not _TASK_FILE.fullmatch(name) and name[0] != ".":
                message = f"{self.path}: contains {name!r}, which no run of s2st wrote"
                raise OutputError(f"{message}; move it, or {REMEDY}")

    def _open(self, job: str, resume: bool) -> None:
        """Open the folder; the first process of the job decides which results it keeps."""
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
        keep = resume or restarted or not alone or not self._locks
        if found and keep and found != job:
            what = differences(found, job) or "its job file, which is damaged"
            raise UsageError(
                f"{self.path}: left by a run that differs in {what}; run without --resume, or "
                "name another --output-file"
            )
        if found and keep:
            if alone:
                self._drop_damaged()
            self.resumed = sum(task.lines for task in self._tasks())
        elif alone:
            tasks = self._tasks()
            if tasks:
                log.warning(
                    "%s: results of a stopped run are removed; --resume would have used them",
                    self.path,
                )
            elif resume:
                log.info("%s: nothing to resume, starting from the beginning", self.path)
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
                log.warning("%s: damaged, is computed again", path)
                durable_files.remove_file(path)

    def _remove(self) -> None:
        for name in sorted(os.listdir(self.path)):
            if name in (JOB, CLAIMS) or _TASK_FILE.fullmatch(name) or name[0] == ".":
                durable_files.remove_file(self.path / name)
        with contextlib.suppress(OSError):  # another program put a file there
            self.path.rmdir()

    def _lock(self, byte: int, wait: bool = False, shared: bool = False) -> bool:
        """Lock a byte of the claims file; return False if another process holds it."""
        try:
            import fcntl
        except ImportError:  # Windows: every rank computes all unfinished tasks
            return True
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.lockf(self._claims.stream, kind | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if self._locks:
                self._locks = False
                log.warning(
                    "%s: the file system has no locks (%s), so ranks repeat work",
                    self.path, error.strerror,
                )  # fmt: skip
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
    """Return the names of the values that differ between two job files, "" if one is damaged."""
    try:
        before, now = (load_json(text.removeprefix(HEAD)) for text in (found, wanted))
        names = sorted(before.keys() | now.keys())
        return ", ".join(name for name in names if before.get(name) != now.get(name))
    except (ValueError, AttributeError):
        return ""


def _encode(result: Any) -> bytes:
    """Return a result as JSON after a checksum line, which reveals incomplete or damaged files."""
    data = json.dumps(result).encode()
    return blake2b(data, digest_size=16).hexdigest().encode() + b"\n" + data


def _decode(data: bytes) -> Any:
    """Return the result in the bytes of a file, None if they are damaged."""
    checksum, _, body = data.partition(b"\n")
    if blake2b(body, digest_size=16).hexdigest().encode() != checksum:
        return None
    try:
        return load_json(body)
    except ValueError:
        return None
