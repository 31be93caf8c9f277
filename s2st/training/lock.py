"""One owner of a save folder: a lock that the kernel gives back however its process ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from s2st import durable
from s2st.errors import OutputError

NAME = ".lock"


@contextlib.contextmanager
def own(folder: Path) -> Iterator[None]:
    """Holds the folder, which is made if need be, until the end of the context.

    On systems without flock (Windows) nothing is held.

    Raises:
        OutputError: the folder cannot be written, or another process holds it; says which.
    """
    durable.make_folder(folder)
    path = folder / NAME
    try:
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    with stream:
        _lock(stream.fileno(), path)
        stream.seek(0)
        stream.truncate()
        since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        stream.write(f"process {os.getpid()} on {socket.gethostname()} since {since}")
        stream.flush()
        yield


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = path.read_text("utf-8", "replace").strip() or "another process"
        raise OutputError(
            f"{path.parent}: {holder} works here; stop it, or use another folder"
        ) from error
    except OSError:  # a file system without locks
        return
