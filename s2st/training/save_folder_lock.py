"""The lock of a save folder: one process writes it at a time.

The kernel releases the lock when the process ends, however it ends.
"""

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from s2st.errors import OutputError
from s2st.process import durable_files, durable_folders
from s2st.process.lock_files import AuxiliaryFile, open_locked

NAME = ".lock"
_KNOWN = re.compile(rb"process [0-9]+ on [\w.:-]+ since [0-9-]+ [0-9:]+ UTC\n?\Z")


@dataclass(frozen=True)
class HeldFolder:
    """A folder whose lock this process holds.

    Attributes:
        folder: path of the folder. Another folder may have taken this name in the meantime.
        place: a path that always leads to the folder that is held; write through it.
        lock: the lock file.
        option: the option by which the user names another folder, for messages.
    """

    folder: Path
    place: Path
    lock: AuxiliaryFile
    option: str

    def check(self) -> None:
        """Check that the path still leads to the folder that is held; raise OutputError if not."""
        if not self.lock.in_place():
            raise OutputError(
                f"{self.folder}: was removed or replaced while this training ran (this process "
                f"does not hold its {NAME}); nothing more is saved, because another process may "
                f"write there; start again with a {self.option} that nothing else removes"
            )


@contextlib.contextmanager
def hold_folder(folder: Path, option: str = "--save-dir") -> Iterator[HeldFolder]:
    """Hold the lock of a folder until the end of the context; create the folder if necessary.

    On systems without flock (Windows) this function locks nothing.

    Args:
        folder: the folder.
        option: the option by which the user names another folder, for messages.

    Raises:
        OutputError: the folder cannot be written, another process holds the lock (the message
            names it), or s2st did not write the lock file.
    """
    durable_folders.make_folder(folder)
    path = folder / NAME
    file = open_locked(path, _KNOWN, "lock", f"use another {option}")
    if file is None:
        message = f"{_holder(path)} uses this folder; stop it, or use another {option}"
        raise OutputError(f"{folder}: {message}")
    try:
        since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        host = re.sub(r"[^\w.:-]", "_", socket.gethostname(), flags=re.ASCII) or "unknown"
        file.rewrite(f"process {os.getpid()} on {host} since {since}".encode())
        with durable_files.held_open(folder) as place:
            held = HeldFolder(folder, place, file, option)
            held.check()  # the folder may have been replaced between lock and open
            yield held
    finally:
        file.close()


@contextlib.contextmanager
def hold_work_folder(folder: Path, option: str = "--run") -> Iterator[None]:
    """Hold the lock of a work folder, in which a program creates and replaces files freely.

    Args:
        folder: the folder; created if necessary.
        option: the option by which the user names another folder, for messages.

    Raises:
        OutputError: as `hold_folder`; or the folder has files, but no lock of an earlier run.
    """
    if not os.path.lexists(folder / NAME) and folder.is_dir():
        strangers = sorted(os.listdir(folder))
        if strangers:
            raise OutputError(
                f"{folder}: contains {strangers[0]!r}, which s2st did not write, and files here "
                f"would be replaced; name a new folder with {option}"
            )
    with hold_folder(folder, option):
        yield


def _holder(path: Path) -> str:
    """Describe the holder of a lock from the lock's content, which may not be written yet."""
    with contextlib.suppress(OutputError):
        file = AuxiliaryFile(path, _KNOWN, "lock", "")
        holder = file.stream.read().decode("ascii").strip()
        file.close()
        return holder or "another process"
    return "another process"
