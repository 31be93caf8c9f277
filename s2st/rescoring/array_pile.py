"""Numbers of all lists, appended list by list: in memory, or beyond a limit in a temporary file."""

import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt


class ArrayPile:
    """Arrays of one type, appended one after the other and read back as one flat array.

    Args:
        dtype: type of the numbers.
        memory: bytes to keep in memory. More go to a file without a name in the folder of TMPDIR.
    """

    def __init__(self, dtype: npt.DTypeLike, memory: int) -> None:
        self._dtype = np.dtype(dtype)
        self._memory = memory
        self._parts: list[npt.NDArray[Any]] = []
        self._waiting = 0  # bytes in memory
        self._file: IO[bytes] | None = None

    def append(self, values: npt.NDArray[Any]) -> None:
        """Append the values of an array of any shape."""
        part = np.ascontiguousarray(values, dtype=self._dtype).reshape(-1)
        self._parts.append(part)
        self._waiting += part.nbytes
        if self._waiting > self._memory:
            self._spill()

    def finish(self) -> npt.NDArray[Any]:
        """Return all values in the order of their arrays, as one array; append no more."""
        if self._file is None:
            parts, self._parts = self._parts, []
            return np.concatenate([np.zeros(0, self._dtype), *parts])
        self._spill()
        self._file.flush()
        return np.memmap(self._file, dtype=self._dtype, mode="r")

    def _spill(self) -> None:
        if self._file is None:
            # the mapping needs the file as long as the arrays live; it has no name, so the system
            # removes it with them
            self._file = tempfile.TemporaryFile(prefix="s2st-lists-")  # noqa: SIM115
        for part in self._parts:
            self._file.write(part.tobytes())
        self._parts, self._waiting = [], 0
