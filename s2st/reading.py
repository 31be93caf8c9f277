"""Reading files of others: as many bytes as the program allows, and why a path cannot be read."""

import os
import stat
from pathlib import Path

from s2st.errors import DataError

CHUNK = 1 << 20


def read_whole(
    path: str | Path, most: int, regular: bool = True, failure: type[DataError] = DataError
) -> bytes:
    """The bytes of a small file; nothing else may read a file as a whole.

    Args:
        path: the file.
        most: bytes that it may have; what it says of its size is not believed.
        regular: refuse devices, pipes and folders, without waiting for them. Options that take
            `<(command)` do not.
        failure: of a file that is not such a one.

    Raises:
        OSError: it cannot be read.
        DataError, or what `failure` says: it is no plain file, or larger; names it.
    """
    # a pipe without a writer would let the program wait for ever
    descriptor = os.open(path, os.O_RDONLY | (getattr(os, "O_NONBLOCK", 0) if regular else 0))
    with open(descriptor, "rb", buffering=0) as stream:
        if regular and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise failure("not a plain file", str(path))
        pieces, size = [], 0
        while piece := stream.read(min(CHUNK, most + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise failure(f"larger than {most:,} bytes, the most that it may have", str(path))
    return b"".join(pieces)


def why_not(path: str | Path, error: OSError | None = None) -> str:
    """Why a path cannot be read, in words; `error` is what the system said."""
    missing = error is None or isinstance(error, FileNotFoundError)
    if missing and os.path.islink(path) and not os.path.exists(path):
        target = os.path.join(os.path.dirname(path), os.readlink(path))
        return (
            f"a link to {target}, which is not there; `cp -r` copies such a link without the "
            "folder: copy with `cp -rL`, or name the folder"
        )
    return (error.strerror or str(error)) if error is not None else "no such file or folder"
