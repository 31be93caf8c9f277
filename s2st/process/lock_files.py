"""Lock and claims files that s2st keeps beside the user's files, opened safely.

The user did not name these files, so an existing file of such a name may belong to anyone. s2st
opens it without following links. It must be a regular file with one name, and it must be empty or
start as s2st's files do. s2st never truncates, locks or removes any other file.
"""

import contextlib
import os
import re
from io import BufferedRandom
from pathlib import Path

from s2st.errors import OutputError
from s2st.process import durable_files
from s2st.process.durable_files import final_path

describe = durable_files.describe
MAX_HEAD = 1 << 16  # bytes at the start of a file that identify it
_TRIES = 100


class AuxiliaryFile:
    """An auxiliary file, open for reading and writing, positioned at its start.

    Args:
        path: the file; it is created if it does not exist.
        content: matches the start of a file that s2st wrote; None if s2st's file is always empty.
        purpose: noun for messages, such as "lock".
        remedy: alternative to moving someone else's file, such as "name another --save-dir".

    Attributes:
        stream: the open file.

    Raises:
        OutputError: another file has this name, or it cannot be opened. Nothing was changed.
    """

    def __init__(
        self, path: Path, content: re.Pattern[bytes] | None, purpose: str, remedy: str
    ) -> None:
        self.path = path
        self._refusal = f"s2st keeps its {purpose} under this name; move it, or {remedy}"
        with durable_files.output_errors(path):
            self._refuse_special_file()
            durable_files.announce("create", path)
            self.stream: BufferedRandom = os.fdopen(self._open(), "r+b")
        try:
            with durable_files.output_errors(path):
                self._check(os.fstat(self.stream.fileno()), content)
        except OutputError:
            self.stream.close()
            raise

    def _refuse_special_file(self) -> None:
        """Refuse links, devices and so on before opening: opening a device can have effects."""
        with contextlib.suppress(FileNotFoundError):
            kind = durable_files.describe(self.path)
            if kind:
                raise OutputError(f"{final_path(self.path)}: this is {kind}; {self._refusal}")

    def _open(self) -> int:
        # Windows lacks these flags; there the check before opening has to be enough
        names = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
        extra = sum(getattr(os, name, 0) for name in names)
        return os.open(self.path, os.O_RDWR | os.O_CREAT | extra, 0o666)

    def _check(self, facts: os.stat_result, content: re.Pattern[bytes] | None) -> None:
        kind = durable_files.describe_facts(facts)
        if not kind:
            head = self.stream.read(MAX_HEAD)
            self.stream.seek(0)
            if head and (content is None or not content.match(head)):
                kind = "a file that s2st did not write"
        if kind:
            raise OutputError(f"{final_path(self.path)}: this is {kind}; {self._refusal}")

    def lock(self) -> bool:
        """Lock the file until it is closed; return False if another process holds the lock.

        If the system or the file system has no locks, nothing is locked and the result is True.
        """
        return durable_files.lock(self.stream.fileno())

    def in_place(self) -> bool:
        """Whether the path still names the open file: nobody removed or replaced it."""
        opened = os.fstat(self.stream.fileno())
        try:
            named = os.lstat(self.path)
        except OSError:
            return False
        return (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)

    def rewrite(self, data: bytes) -> None:
        """Replace the content by `data`; on an error, empty the file and raise OutputError."""
        with durable_files.output_errors(self.path):
            durable_files.announce("write", self.path)
            try:
                self.stream.seek(0)
                self.stream.truncate()
                self.stream.write(data)
                self.stream.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self.stream.fileno(), 0)  # partial content would not match
                raise

    def remove(self) -> None:
        """Remove the file if the path still names it; raise OutputError."""
        if self.in_place():
            durable_files.remove_file(self.path)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        with contextlib.suppress(OSError):  # a full disk: the write has reported it
            self.stream.close()


def open_locked(
    path: Path, content: re.Pattern[bytes] | None, purpose: str, remedy: str
) -> AuxiliaryFile | None:
    """Open and lock an auxiliary file; return None if another process holds the lock.

    Arguments and errors are those of AuxiliaryFile.
    """
    for _ in range(_TRIES):
        file = AuxiliaryFile(path, content, purpose, remedy)
        if not file.lock():
            file.close()
            return None
        if file.in_place():
            return file
        file.close()  # its last owner removed it between open and lock
    raise OutputError(f"{path}: cannot be locked: other processes keep replacing it")
