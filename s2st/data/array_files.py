"""`.npy` array files: written in chunks without knowing the length, read memory-mapped."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.errors import CheckpointError
from s2st.process import durable_files

HEADER_SIZE = 128


class ArrayWriter:
    """Writes a one-dimensional array of unknown length to a .npy file, chunk by chunk.

    Every method raises OutputError if writing fails.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._writer = durable_files.Writer(path)
        self._writer.write(b"\0" * HEADER_SIZE)

    def append(self, values: npt.ArrayLike) -> None:
        """Append values."""
        chunk = np.asarray(values, dtype=self.dtype)
        self._writer.write(chunk.tobytes())
        self.length += len(chunk)

    def close(self) -> None:
        """Write the header, now that the length is known; sync and close the file."""
        self._writer.rewind()
        self._writer.write(_header(self.dtype, self.length))
        self._writer.close()


def _header(dtype: np.dtype[Any], length: int) -> bytes:
    """Return a version 1.0 .npy header of fixed size, padded with spaces as the format says."""
    shape = f"({length},)"
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.ljust(HEADER_SIZE - 11).encode("ascii") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def open_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Open a file of ArrayWriter memory-mapped; raise CheckpointError if it is not one.

    The header must equal the header for the file's size, byte for byte.
    """
    dtype = np.dtype(dtype)
    try:
        length, rest = divmod(path.stat().st_size - HEADER_SIZE, dtype.itemsize)
        with open(path, "rb") as stream:
            header = stream.read(HEADER_SIZE)
        if rest or length < 0 or header != _header(dtype, length):
            message = f"not a readable array: expected a flat array of {dtype} that fills the file"
            raise CheckpointError(message, str(path))
        if length == 0:  # an empty array cannot be mapped
            return np.zeros(0, dtype)
        return np.memmap(path, dtype, "r", offset=HEADER_SIZE, shape=(length,))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"not a readable array: {error}", str(path)) from error
