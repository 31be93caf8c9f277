"""`.npy` files of ids that grow as they are written, and are read memory-mapped."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from s2st.errors import CheckpointError, OutputError

HEADER_SIZE = 128


class ArrayWriter:
    """Writes a one-dimensional array of unknown length to a .npy file, a chunk at a time."""

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._stream = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._stream.write(b"\0" * HEADER_SIZE)

    def append(self, values: npt.ArrayLike) -> None:
        """Adds values at the end; raises OutputError when the disk refuses."""
        chunk = np.asarray(values, dtype=self.dtype)
        try:
            chunk.tofile(self._stream)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
        self.length += len(chunk)

    def close(self) -> None:
        """Writes the header, now that the length is known, and closes the file."""
        self._stream.flush()
        self._stream.seek(0)
        self._stream.write(_header(self.dtype, self.length))
        self._stream.close()


def _header(dtype: np.dtype[Any], length: int) -> bytes:
    """A version 1.0 .npy header of fixed size (the format pads with spaces to its end)."""
    shape = f"({length},)"
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.ljust(HEADER_SIZE - 11).encode("ascii") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def open_array(
    path: Path, dtype: npt.DTypeLike, mode: Literal["r", "r+"] = "r"
) -> npt.NDArray[Any]:
    """Opens a one-dimensional .npy file memory-mapped; raises CheckpointError if it is not one."""
    try:
        empty = path.stat().st_size == HEADER_SIZE  # nothing behind the header cannot be mapped
        array = np.load(path, mmap_mode=None if empty else mode, allow_pickle=False)
    except Exception as error:  # numpy's reader of a damaged header raises of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"not a readable array: {reason}", str(path)) from error
    if array.ndim != 1 or array.dtype != np.dtype(dtype):
        message = f"expected a flat array of {np.dtype(dtype)}, found {array.dtype}{array.shape}"
        raise CheckpointError(message, str(path))
    return array  # type: ignore[no-any-return]
