"""`.npy` files of ids that grow as they are written, and are read memory-mapped."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.errors import CheckpointError
from s2st.process import durable_files

HEADER_SIZE = 128


class ArrayWriter:
    """Writes a one-dimensional array of unknown length to a .npy file, a chunk at a time.

    Every method raises OutputError when the disk refuses.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._writer = durable_files.Writer(path)
        self._writer.write(b"\0" * HEADER_SIZE)

    def append(self, values: npt.ArrayLike) -> None:
        """Adds values at the end."""
        chunk = np.asarray(values, dtype=self.dtype)
        self._writer.write(chunk.tobytes())
        self.length += len(chunk)

    def close(self) -> None:
        """Writes the header, now that the length is known, syncs and closes the file."""
        self._writer.rewind()
        self._writer.write(_header(self.dtype, self.length))
        self._writer.close()


def _header(dtype: np.dtype[Any], length: int) -> bytes:
    """A version 1.0 .npy header of fixed size (the format pads with spaces to its end)."""
    shape = f"({length},)"
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.ljust(HEADER_SIZE - 11).encode("ascii") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def open_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Opens a file of ArrayWriter memory-mapped; raises CheckpointError if it is not one.

    The header must be the one that the file's size implies, byte for byte.
    """
    kind = np.dtype(dtype)
    try:
        length, rest = divmod(path.stat().st_size - HEADER_SIZE, kind.itemsize)
        with open(path, "rb") as stream:
            header = stream.read(HEADER_SIZE)
        if rest or length < 0 or header != _header(kind, length):
            message = f"not a readable array: expected a flat array of {kind} that fills the file"
            raise CheckpointError(message, str(path))
        if length == 0:  # nothing cannot be mapped
            return np.zeros(0, kind)
        return np.memmap(path, kind, "r", offset=HEADER_SIZE, shape=(length,))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"not a readable array: {error}", str(path)) from error
