"""External merge sort that counts distinct keys of a stream larger than memory.

Sorted blocks are written as runs into one file; then the runs are merged piece by piece.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.ngram.lookup_tables import Keys

KeyCounts = tuple[Keys, Keys]  # distinct keys in rising order, and the count of each


class Column:
    """An array on disk: first appended to, then read as a memory map.

    Args:
        path: the file.
        kind: name of the numpy type.
    """

    def __init__(self, path: Path, kind: str = "int64") -> None:
        self.path = path
        self._kind = np.dtype(kind)
        self._file = open(path, "xb")  # noqa: SIM115 - closed by `array`
        self.length = 0

    def append(self, values: npt.NDArray[np.generic]) -> None:
        """Append values."""
        self._file.write(np.ascontiguousarray(values, dtype=self._kind).data)
        self.length += len(values)

    def array(self) -> npt.NDArray[np.generic]:
        """Return the whole array; nothing can be appended afterwards."""
        self._file.close()
        return mapped(self.path, self._kind.name, self.length, "r")

    def remove(self) -> None:
        """Remove the file."""
        self._file.close()
        self.path.unlink()


def mapped(path: Path, kind: str, length: int, mode: str = "w+") -> npt.NDArray[np.generic]:
    """Map a file as an array; the kernel keeps as much of it in memory as fits."""
    if not length:  # an empty file cannot be mapped
        return np.empty(0, dtype=kind)
    if mode == "w+":  # writing to a sparse file on a full disk would kill the process
        with open(path, "xb") as stream:
            _reserve(stream.fileno(), length * np.dtype(kind).itemsize)
        mode = "r+"
    return np.memmap(path, dtype=kind, mode=mode, shape=(length,))  # type: ignore[call-overload,no-any-return]


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)


@dataclass(frozen=True)
class _Run:
    begin: int
    end: int


def count_keys(blocks: Iterable[Keys], folder: Path, name: str, piece: int) -> tuple[Keys, Keys]:
    """Return the distinct keys in rising order, and their counts, as arrays on disk.

    Args:
        blocks: keys in any order; each block is sorted in memory.
        folder, name: the arrays are FOLDER/NAME.keys and FOLDER/NAME.counts.
        piece: number of keys merged at once.
    """
    runs, spilled = [], (Column(folder / "runs.keys"), Column(folder / "runs.counts"))
    for block in blocks:
        begin = spilled[0].length
        _append(spilled, np.unique(block, return_counts=True))
        if len(block):
            runs.append(_Run(begin, spilled[0].length))
    merged = Column(folder / f"{name}.keys"), Column(folder / f"{name}.counts")
    for counted in _merge(runs, spilled[0].array(), spilled[1].array(), piece):  # type: ignore[arg-type]
        _append(merged, counted)
    for column in spilled:
        column.remove()
    return merged[0].array(), merged[1].array()  # type: ignore[return-value]


def _append(columns: tuple[Column, Column], counted: KeyCounts) -> None:
    for column, values in zip(columns, counted, strict=True):
        column.append(values)


def _merge(runs: list[_Run], keys: Keys, counts: Keys, piece: int) -> Iterator[KeyCounts]:
    """Merge sorted runs: yield keys in rising order, with summed counts of equal keys."""
    share = max(1, piece // max(1, len(runs)))
    while runs:
        # keys up to the smallest last key of the pieces are complete
        bound = min(int(keys[min(run.begin + share, run.end) - 1]) for run in runs)
        taken, left = [], []
        for run in runs:
            window = keys[run.begin : min(run.begin + share, run.end)]
            middle = run.begin + int(np.searchsorted(window, bound, side="right"))
            if middle > run.begin:
                taken.append(slice(run.begin, middle))
            if middle < run.end:
                left.append(_Run(middle, run.end))
        runs = left
        yield _summed([keys[part] for part in taken], [counts[part] for part in taken])


def _summed(keys: list[Keys], counts: list[Keys]) -> KeyCounts:
    if len(keys) == 1:
        return keys[0], counts[0]
    all_keys = np.concatenate(keys)
    rising = all_keys.argsort(kind="stable")
    all_keys = all_keys[rising]
    first = np.flatnonzero(np.concatenate([[True], all_keys[1:] != all_keys[:-1]]))
    return all_keys[first], np.add.reduceat(np.concatenate(counts)[rising], first)
