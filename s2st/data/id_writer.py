"""Ids on their way to disk: the arrays of a side, pieces of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.data.array_files import ArrayWriter, open_array

REMAP_CHUNK = 1 << 20


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

    def append(self, ids: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64]) -> None:
        """Adds sentences of these lengths, whose ids stand end to end."""
        self.offsets.append(self.ids.length + np.cumsum(lengths))
        self.ids.append(ids)

    def close(self) -> None:
        """Finishes both files."""
        self.ids.close()
        self.offsets.close()


def parts_of(path: Path) -> Iterator[npt.NDArray[np.int32]]:
    """Pieces of an array on disk, one mapped at a time."""
    length = len(open_array(path, np.int32))
    for start in range(0, length, REMAP_CHUNK):
        yield open_array(path, np.int32)[start : start + REMAP_CHUNK]
