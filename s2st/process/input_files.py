"""Read input files that are read whole, in bounded memory, and say why one cannot be found."""

import os
from pathlib import Path

from s2st.errors import DataError, InputMissingError


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
        with open(path, "rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise missing(path, f"cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise DataError(f"not {what}: it has more than {most:,} bytes", str(path))
    return data


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
