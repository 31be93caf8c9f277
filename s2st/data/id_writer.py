"""Writing and rereading of a split's id arrays: ids and offsets of one language."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.data.array_files import ArrayWriter, open_array

REMAP_CHUNK = 1 << 20


def ids_path(folder: Path, split: str, language: str) -> Path:
    """Return the path of a language's ids of a split."""
    return folder / f"{split}.{language}.ids.npy"


class SideWriter:
    """Writes the two arrays of one language of a split.

    Args:
        folder, split, language: parts of the file names.
        ids: file of the ids; default `ids_path`.
    """

    def __init__(self, folder: Path, split: str, language: str, ids: Path | None = None) -> None:
        self.ids = ArrayWriter(ids or ids_path(folder, split, language), np.int32)
        self.offsets = ArrayWriter(folder / f"{split}.{language}.offsets.npy", np.int64)
        self.offsets.append([0])

    def append(self, ids: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64]) -> None:
        """Append sentences: their concatenated ids, and the lengths of the sentences."""
        self.offsets.append(self.ids.length + np.cumsum(lengths))
        self.ids.append(ids)

    @property
    def tokens(self) -> int:
        """Number of tokens so far."""
        return self.ids.length

    def close(self) -> None:
        """Complete both files."""
        self.ids.close()
        self.offsets.close()


def vectors_path(folder: Path, split: str, language: str) -> Path:
    """Return the path of a language's vectors of a split."""
    return folder / f"{split}.{language}.vectors.npy"


class VectorWriter(SideWriter):
    """Writes the vectors of one language of a split in place of ids."""

    def __init__(self, folder: Path, split: str, language: str) -> None:
        self.ids = ArrayWriter(vectors_path(folder, split, language), np.float32)
        self.offsets = ArrayWriter(folder / f"{split}.{language}.offsets.npy", np.int64)
        self.offsets.append([0])
        self._written = 0

    def append_vectors(
        self, values: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64]
    ) -> None:
        """Append sentences: their concatenated vectors (P, D), and the lengths of the sentences."""
        self.offsets.append(self._written + np.cumsum(lengths))
        self._written += len(values)
        self.ids.append(values.ravel())

    @property
    def tokens(self) -> int:
        """Number of vectors so far."""
        return self._written


def read_id_chunks(path: Path) -> Iterator[npt.NDArray[np.int32]]:
    """Yield chunks of an array on disk; only one of them is mapped at a time."""
    length = len(open_array(path, np.int32))
    for start in range(0, length, REMAP_CHUNK):
        yield open_array(path, np.int32)[start : start + REMAP_CHUNK]
