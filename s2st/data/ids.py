"""Ids on their way to disk: provisional numbers of words, the arrays of a side, pieces of them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.data.arrays import ArrayWriter, open_array

REMAP_CHUNK = 1 << 20


class GrowingIndex(dict[str, int]):
    """Gives every new word the next id."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def ids_path(folder: Path, split: str, language: str) -> Path:
    """The file of a side's ids."""
    return folder / f"{split}.{language}.ids.npy"


class SideWriter:
    """The two arrays of one side of a split.

    Args:
        folder, split, language: where, and of what.
        ids: the file of the ids, where it is another than `ids_path`.
    """

    def __init__(self, folder: Path, split: str, language: str, ids: Path | None = None) -> None:
        self.ids = ArrayWriter(ids or ids_path(folder, split, language), np.int32)
        self.offsets = ArrayWriter(folder / f"{split}.{language}.offsets.npy", np.int64)
        self.offsets.append([0])

    def append(self, rows: Sequence[Sequence[int]]) -> None:
        """Adds sentences of ids."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self.offsets.append(self.ids.length + np.cumsum(lengths))
        self.ids.append(np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())))

    def close(self) -> None:
        """Finishes both files."""
        self.ids.close()
        self.offsets.close()


def parts_of(path: Path) -> Iterator[npt.NDArray[np.int32]]:
    """Pieces of an array on disk, one mapped at a time."""
    length = len(open_array(path, np.int32))
    for start in range(0, length, REMAP_CHUNK):
        yield open_array(path, np.int32)[start : start + REMAP_CHUNK]
