"""Files that s2st keeps beside a user's: locks, journals, claims. No other file is touched.

A user did not name these files, so whatever bears such a name may be anybody's. It is opened
without following a link and has to be a regular file with one name, empty or begun by s2st.
Nothing else is opened for writing, truncated, locked or removed.
"""

import contextlib
import os
import re
from io import BufferedRandom
from pathlib import Path

from s2st.errors import OutputError
from s2st.process import durable_files

describe = durable_files.describe
MOST_HEAD = 1 << 16  # bytes at the start of a file by which it is recognised
_TRIES = 100


class AuxiliaryFile:
    """A file of s2st's own, open for reading and writing at its start.

    Args:
        path: the file; it is created where there is none.
        known: matches the start of what s2st writes there; None: it stays empty.
        what: what it is for messages, such as "lock".
        remedy: what else a user can do than move a foreign file, such as "name another --save-dir".

    Attributes:
        stream: the open file.

    Raises:
        OutputError: another file has its name, or it cannot be opened; nothing was changed.
    """

    def __init__(self, path: Path, known: re.Pattern[bytes] | None, what: str, remedy: str) -> None:
        self.path = path
        self._refusal = f"s2st keeps its {what} under this name; move it, or {remedy}"
        with durable_files.naming(path):
            self._refuse_stranger()
            durable_files.step("create", path)
            self.stream: BufferedRandom = os.fdopen(self._open(), "r+b")
        try:
            with durable_files.naming(path):
                self._check(os.fstat(self.stream.fileno()), known)
        except OutputError:
            self.stream.close()
            raise

    def _refuse_stranger(self) -> None:
        """Refuses by name what is no regular file: to open a device may already do something."""
        with contextlib.suppress(FileNotFoundError):
            kind = durable_files.describe(self.path)
            if kind:
                raise OutputError(f"{self.path}: this is {kind}; {self._refusal}")

    def _open(self) -> int:
        # these names are missing on Windows, where the look before has to do
        names = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
        extra = sum(getattr(os, name, 0) for name in names)
        return os.open(self.path, os.O_RDWR | os.O_CREAT | extra, 0o666)

    def _check(self, facts: os.stat_result, known: re.Pattern[bytes] | None) -> None:
        kind = durable_files.describe_facts(facts)
        if not kind:
            head = self.stream.read(MOST_HEAD)
            self.stream.seek(0)
            if head and (known is None or not known.match(head)):
                kind = "a file that s2st did not write"
        if kind:
            raise OutputError(f"{self.path}: this is {kind}; {self._refusal}")

    def lock(self) -> bool:
        """Locks the file until it is closed; False where another process holds the lock.

        Where the system or file system has no locks, nothing is held and the answer is True.
        """
        return durable_files.lock(self.stream.fileno())

    def in_place(self) -> bool:
        """Whether the path still is this very file: not removed, replaced or made a link."""
        own = os.fstat(self.stream.fileno())
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino)

    def rewrite(self, data: bytes) -> None:
        """Makes `data` all of its content, or empties the file; raises OutputError."""
        with durable_files.naming(self.path):
            durable_files.step("write", self.path)
            try:
                self.stream.seek(0)
                self.stream.truncate()
                self.stream.write(data)
                self.stream.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self.stream.fileno(), 0)  # half of it would not be recognised
                raise

    def remove(self) -> None:
        """Removes the file, unless its path has come to be another one; raises OutputError."""
        if self.in_place():
            durable_files.remove_file(self.path)

    def close(self) -> None:
        """Closes the file, which gives its lock back."""
        with contextlib.suppress(OSError):  # of a full disk: the write before said so
            self.stream.close()


def open_locked(
    path: Path, known: re.Pattern[bytes] | None, what: str, remedy: str
) -> AuxiliaryFile | None:
    """An auxiliary file, locked, that its path names; None where another process has the lock.

    Args and raises: as AuxiliaryFile.
    """
    for _ in range(_TRIES):
        file = AuxiliaryFile(path, known, what, remedy)
        if not file.lock():
            file.close()
            return None
        if file.in_place():
            return file
        file.close()  # its last owner removed it between the opening and the lock
    raise OutputError(f"{path}: cannot be locked: other processes keep replacing it")
