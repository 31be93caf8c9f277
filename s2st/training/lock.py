"""One owner of a save folder: a lock that the kernel gives back however its process ends."""

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from s2st import durable
from s2st.auxiliary import AuxiliaryFile, open_locked
from s2st.errors import OutputError

NAME = ".lock"
_KNOWN = re.compile(rb"process [0-9]+ on [\w.:-]+ since [0-9-]+ [0-9:]+ UTC\n?\Z")


@contextlib.contextmanager
def own(folder: Path, option: str = "--save-dir") -> Iterator[Callable[[], None]]:
    """Holds the folder, which is made if need be, until the end of the context.

    On systems without flock (Windows) nothing is held. Yields a function that raises OutputError
    where the folder or its lock is no longer the one that is held.

    Args:
        folder: the folder.
        option: by which a user names another.

    Raises:
        OutputError: the folder cannot be written, another process holds it (says which), or its
            lock is a file that s2st did not write.
    """
    durable.make_folder(folder)
    path = folder / NAME
    file = open_locked(path, _KNOWN, "lock", f"use another {option}")
    if file is None:
        raise OutputError(f"{folder}: {_holder(path)} works here; stop it, or use another {option}")
    try:
        since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        host = re.sub(r"[^\w.:-]", "_", socket.gethostname(), flags=re.ASCII) or "unknown"
        file.rewrite(f"process {os.getpid()} on {host} since {since}".encode())
        yield lambda: _check(folder, file, option)
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


def _check(folder: Path, file: AuxiliaryFile, option: str) -> None:
    if not file.in_place():
        raise OutputError(
            f"{folder}: was removed or replaced while this training ran (its {NAME} is not the one "
            "that this process holds); nothing more is saved, so that two processes do not write "
            f"one folder; start the training again in a {option} that stays"
        )
