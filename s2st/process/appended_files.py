"""Files to which s2st appends lines, such as logs, opened safely in a folder of the user."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from s2st.process import durable_files
from s2st.process.lock_files import AuxiliaryFile


def begins_with(start: bytes) -> re.Pattern[bytes]:
    """Return a pattern for files that begin so, or whose first write was torn by a power loss."""
    torn = [re.escape(start[:size]) + rb"\0*\Z" for size in range(len(start))]
    return re.compile(b"|".join([re.escape(start), *torn]))


class AppendedFile:
    """A file of whole lines; an existing file of s2st is continued.

    Args:
        path: the file; it is created if it does not exist.
        content: matches the start of a file that s2st wrote.
        purpose, remedy: see `AuxiliaryFile`.
        check: called before every change; raises OutputError if the folder is no longer held.

    Raises:
        OutputError: another file has this name, or it cannot be opened. Nothing was changed.
    """

    def __init__(
        self,
        path: Path,
        content: re.Pattern[bytes],
        purpose: str,
        remedy: str,
        check: Callable[[], None],
    ) -> None:
        check()
        self.path = path
        self._check = check
        self._file = AuxiliaryFile(path, content, purpose, remedy)
        self._stream = self._file.stream
        self._unsynced = True

    def same_as(self, descriptor: int) -> bool:
        """Whether an open file descriptor of this process is this file."""
        try:
            return os.path.sameopenfile(self._stream.fileno(), descriptor)
        except OSError:  # closed
            return False

    def lines(self) -> list[bytes]:
        """Return the complete lines of the file, without line ends."""
        with durable_files.output_errors(self.path, "cannot be read"):
            self._stream.seek(0)
            return self._stream.read().split(b"\n")[:-1]

    def cut(self, size: int) -> None:
        """Remove everything after the first `size` bytes."""
        self._check()
        with durable_files.output_errors(self.path):
            self._stream.seek(0, os.SEEK_END)
            if self._stream.tell() != size:
                durable_files.announce("write", self.path)
                self._stream.truncate(size)
                self._unsynced = True

    def append(self, text: str) -> None:
        """Append a line with its line end.

        Raises:
            OutputError: it cannot be written.
        """
        self._check()
        with durable_files.output_errors(self.path):
            durable_files.announce("write", self.path)
            self._stream.seek(0, os.SEEK_END)
            self._stream.write(text.encode())
            self._stream.flush()
            self._unsynced = True

    def sync(self) -> None:
        """Make the content and the name durable; raise OutputError."""
        if self._unsynced:
            durable_files.sync_file(self.path)
            durable_files.sync_folder(self.path.parent)
            self._unsynced = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()
