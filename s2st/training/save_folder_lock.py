"""One owner of a save folder: a lock that the kernel gives back however its process ends."""

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from s2st.errors import OutputError
from s2st.process import durable_files
from s2st.process.auxiliary_files import AuxiliaryFile, open_locked

NAME = ".lock"
_KNOWN = re.compile(rb"process [0-9]+ on [\w.:-]+ since [0-9-]+ [0-9:]+ UTC\n?\Z")


@dataclass(frozen=True)
class HeldFolder:
    """A folder whose lock this process holds.

    Attributes:
        folder: by its name, under which there may be another one by now.
        place: a path to the very folder that is held, for all that is written.
        lock: the file of the lock.
        option: by which a user names another folder.
    """

    folder: Path
    place: Path
    lock: AuxiliaryFile
    option: str

    def check(self) -> None:
        """Raises OutputError where the name no longer leads to the folder that is held."""
        if not self.lock.in_place():
            raise OutputError(
                f"{self.folder}: was removed or replaced while this training ran (its {NAME} is "
                "not the one that this process holds); nothing more is saved, so that two "
                f"processes do not write one folder; start again in a {self.option} that stays"
            )


@contextlib.contextmanager
def own(folder: Path, option: str = "--save-dir") -> Iterator[HeldFolder]:
    """Holds the folder, which is made if need be, until the end of the context.

    On systems without flock (Windows) nothing is held.

    Args:
        folder: the folder.
        option: by which a user names another.

    Raises:
        OutputError: the folder cannot be written, another process holds it (says which), or its
            lock is a file that s2st did not write.
    """
    durable_files.make_folder(folder)
    path = folder / NAME
    file = open_locked(path, _KNOWN, "lock", f"use another {option}")
    if file is None:
        raise OutputError(f"{folder}: {_holder(path)} works here; stop it, or use another {option}")
    try:
        since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        host = re.sub(r"[^\w.:-]", "_", socket.gethostname(), flags=re.ASCII) or "unknown"
        file.rewrite(f"process {os.getpid()} on {host} since {since}".encode())
        with durable_files.held_open(folder) as place:
            held = HeldFolder(folder, place, file, option)
            held.check()  # the folder that was opened is the one of the lock
            yield held
    finally:
        file.close()


@contextlib.contextmanager
def own_work_folder(folder: Path, option: str = "--run") -> Iterator[None]:
    """As `own`, of a folder in which a program of s2st's makes and replaces files at will.

    Raises:
        OutputError: also, the folder holds files and was never such a folder.
    """
    if not os.path.lexists(folder / NAME) and folder.is_dir():
        strangers = sorted(os.listdir(folder))
        if strangers:
            raise OutputError(
                f"{folder}: holds {strangers[0]!r}, which may be yours, and files in it would be "
                f"replaced; name a new folder by {option}"
            )
    with own(folder, option):
        yield


def _holder(path: Path) -> str:
    """Who holds a lock by its own words, which it may be about to write."""
    with contextlib.suppress(OutputError):
        file = AuxiliaryFile(path, _KNOWN, "lock", "")
        holder = file.stream.read().decode("ascii").strip()
        file.close()
        return holder or "another process"
    return "another process"
