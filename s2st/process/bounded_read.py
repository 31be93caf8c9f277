"""Read input files that are read whole, in bounded memory, and say why one cannot be found."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from s2st.errors import DataError, InputMissingError, reason

CHUNK = 1 << 20


def read_bounded(path: str | Path, most: int, what: str) -> bytes:
    """Read a file or pipe whole.

    Args:
        path: the file that the user named.
        most: bytes that such a file has at most.
        what: the kind of file, such as "a SentencePiece model", for messages.

    Raises:
        InputMissingError: the file cannot be read.
        DataError: it is larger than `most`.
    """
    try:
        with open(path, "rb", buffering=0) as stream:
            data = _read_most(stream, most)
    except OSError as error:
        raise unreadable(path, error) from error
    if data is None:
        raise DataError(f"not {what}: it is larger than {most:,} bytes", str(path))
    return data


def read_regular(path: str | Path, most: int, failure: type[DataError] = DataError) -> bytes:
    """Read a regular file whole; refuse a device, pipe or folder without waiting for it.

    Args:
        path: the file, which a folder of s2st contains.
        most: bytes that it has at most, whatever its size says.
        failure: the error for a file that is too large or not regular.

    Raises:
        OSError: the file cannot be read.
        DataError: as `failure` says.
    """
    # without O_NONBLOCK, opening a pipe would wait for its writer
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise failure("not a regular file", str(path))
        data = _read_most(stream, most)
    if data is None:
        raise failure(f"damaged: more than {most:,} bytes", str(path))
    return data


def _read_most(stream: BinaryIO, most: int) -> bytes | None:
    """All bytes of a stream, or None if there are more than `most`."""
    pieces, size = [], 0
    while piece := stream.read(min(CHUNK, most + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return None
    return b"".join(pieces)


def unreadable(path: str | Path, error: OSError) -> InputMissingError:
    """Return the error for an input that the system cannot read, as `missing` words it."""
    return missing(path, f"cannot be read: {reason(error)}")


def missing(path: str | Path, problem: str) -> InputMissingError:
    """Return the error for an input that cannot be found.

    A link whose target is gone is named, since `cp -r` copies the link `checkpoint_best` without
    the folder that it points to.

    Args:
        path: the input.
        problem: what is wrong with it otherwise.
    """
    text = os.fspath(path)
    if os.path.islink(text) and not os.path.exists(text):
        return InputMissingError(
            f"{text}: a link to {os.readlink(text)!r}, which is not there; copy what a link points "
            "to with `cp -rL`, or use `s2st export`"
        )
    return InputMissingError(f"{text}: {problem}")
