"""Files of vector sequences: `.npy` for equal lengths, `.npz` or a folder for different lengths.

- FILE.npy of shape (sentences, length, size): sequences of equal length.
- FILE.npy of shape (sentences, size): one vector per sentence.
- FILE.npz (`np.savez`) or a folder with `values` (vectors, size) and `lengths` (sentences,): the
  sequences one after the other. In a folder the arrays are `values.npy` and `lengths.npy`.

Arrays are numbers of any type and become float32. `.npy` files are mapped and `.npz` files are read
piece by piece, so memory does not grow with the file. Pickled objects are refused.
"""

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError, InputMissingError, reason
from s2st.text.vector_lines import VectorLine

PIECE = 1 << 22  # numbers that are read at once
FORMATS = (
    "an array (sentences, length, size) or (sentences, size), or values (vectors, size) with "
    "lengths (sentences,) in an .npz file or a folder"
)


@dataclass(frozen=True)
class VectorFile:
    """A file of vector sequences, with its header checked.

    Attributes:
        path: the file or folder.
        size: numbers per vector.
        lengths: (N,) number of vectors of each sentence.
    """

    path: str
    size: int
    lengths: npt.NDArray[np.int64]
    _dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self.lengths)

    def lines(self) -> Iterator[VectorLine]:
        """Yield the sentences in order.

        Raises:
            DataError: a number is not finite as float32; or the file is damaged.
        """
        first = 0
        ends = np.cumsum(self.lengths)
        rest: npt.NDArray[np.float32] = np.zeros((0, self.size), np.float32)
        at = 0  # number of the first vector of `rest`
        for piece in self._pieces():
            rest = np.concatenate([rest, piece]) if len(rest) else piece
            last = int(np.searchsorted(ends, at + len(rest), side="right"))
            for index in range(first, last):
                end = int(ends[index])
                yield self._checked(rest[end - int(self.lengths[index]) - at : end - at], index)
            if last > first:
                rest, at = rest[int(ends[last - 1]) - at :], int(ends[last - 1])
            first = last
        for index in range(first, len(self)):  # sentences without vectors at the end
            if self.lengths[index]:
                raise DataError("damaged: it ends before its last vector", self.path)
            yield VectorLine(np.zeros((0, self.size), np.float32))

    def _checked(self, values: npt.NDArray[np.float32], index: int) -> VectorLine:
        finite = np.isfinite(values)
        if not finite.all():
            vector, place = (int(n) + 1 for n in np.argwhere(~finite)[0])
            number = values[vector - 1, place - 1]
            raise DataError(
                f"sentence {index + 1}, vector {vector}, number {place}: {number} is not a finite "
                "float32 number; replace it, for example by np.nan_to_num",
                self.path,
            )
        return VectorLine(values)

    def _pieces(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield arrays (P, size) of consecutive vectors."""
        rows = max(1, PIECE // self.size)
        total = int(self.lengths.sum())
        with ExitStack() as stack, np.errstate(over="ignore"):  # _checked reports infinities
            try:
                if self.path.endswith(".npz"):
                    stream = stack.enter_context(zipfile.ZipFile(self.path)).open("values.npy")
                    _read_header(stream, self.path)
                    for start in range(0, total, rows):
                        count = min(rows, total - start)
                        data = stream.read(count * self.size * self._dtype.itemsize)
                        piece = np.frombuffer(data, self._dtype).reshape(count, self.size)
                        yield piece.astype(np.float32)
                    return
                array = _mapped(_values_path(self.path)).reshape(total, self.size)
                for start in range(0, total, rows):
                    yield array[start : start + rows].astype(np.float32)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise DataError(f"damaged: {error}", self.path) from error


def open_vectors(path: str) -> VectorFile:
    """Open a file or folder of vector sequences, and check its header.

    Raises:
        InputMissingError: it does not exist or cannot be read.
        DataError: it has another format; the message names the formats.
    """
    try:
        if Path(path).is_dir():
            lengths = np.asarray(_mapped(Path(path) / "lengths.npy"))
            values = _mapped(Path(path) / "values.npy")
            return _ragged(path, values.shape, values.dtype, lengths)
        if path.endswith(".npz"):
            with zipfile.ZipFile(path) as archive:
                if not {"values.npy", "lengths.npy"} <= set(archive.namelist()):
                    raise DataError(f"it has no `values` and `lengths`; give {FORMATS}", path)
                with archive.open("lengths.npy") as stream:
                    lengths = np.lib.format.read_array(stream, allow_pickle=False)
                with archive.open("values.npy") as stream:
                    return _ragged(path, *_read_header(stream, path), lengths)
        return _equal(path, _mapped(Path(path)))
    except OSError as error:
        raise InputMissingError(f"{path}: cannot read the vectors: {reason(error)}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        message = f"not a NumPy file of vectors ({error}); give {FORMATS}"
        raise DataError(message, path) from error


def _equal(path: str, values: npt.NDArray[Any]) -> VectorFile:
    """The file of sequences of equal length."""
    if values.ndim not in (2, 3):
        raise DataError(f"an array of shape {values.shape}; give {FORMATS}", path)
    _check_numbers(values.dtype, values.shape[-1], path)
    length = values.shape[1] if values.ndim == 3 else 1
    lengths = np.full(len(values), length, dtype=np.int64)
    return VectorFile(path, values.shape[-1], lengths, values.dtype)


def _ragged(
    path: str, shape: tuple[int, ...], dtype: np.dtype[Any], lengths: npt.NDArray[Any]
) -> VectorFile:
    """The file of sequences of different lengths."""
    if len(shape) != 2:
        raise DataError(f"values of shape {shape}; give {FORMATS}", path)
    _check_numbers(dtype, shape[1], path)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise DataError(f"lengths must be whole numbers (sentences,), not {lengths.dtype}", path)
    counts = lengths.astype(np.int64)
    if len(counts) and counts.min() < 0:
        raise DataError(f"sentence {int(counts.argmin()) + 1} has a negative length", path)
    if counts.sum() != shape[0]:
        raise DataError(
            f"the lengths add up to {int(counts.sum()):,} vectors, but values has {shape[0]:,}",
            path,
        )
    return VectorFile(path, shape[1], counts, dtype)


def _check_numbers(dtype: np.dtype[Any], size: int, path: str) -> None:
    if dtype.kind not in "fiub":
        raise DataError(f"an array of {dtype}; vectors must be real numbers", path)
    if size < 1:
        raise DataError("vectors of size 0", path)


def _values_path(path: str) -> Path:
    return Path(path) / "values.npy" if Path(path).is_dir() else Path(path)


def _mapped(path: Path) -> npt.NDArray[Any]:
    """Map an .npy file; an empty array cannot be mapped and is read."""
    with open(path, "rb") as stream:
        magic = stream.read(6)
        if magic != b"\x93NUMPY":
            raise ValueError("it does not begin as an .npy file")
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        array = np.load(path, allow_pickle=False)
        if array.size:
            raise
    return array


def _read_header(stream: IO[bytes], path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array in an .npz file: its shape and type."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    if read is None and version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    if read is None:
        raise ValueError(f"version {version} of the .npy format")
    shape, fortran, dtype = read(stream)
    if fortran and len(shape) > 1:
        raise DataError("values in Fortran order; save np.ascontiguousarray(values)", path)
    return shape, dtype


def read_vector_chunks(path: str, size: int) -> Iterator[list[str]]:
    """Yield lists of 1 to `size` sentences of a file; raises as `open_vectors` and `lines`."""
    lines = open_vectors(path).lines()
    while chunk := list(islice(lines, size)):
        yield list(chunk)
