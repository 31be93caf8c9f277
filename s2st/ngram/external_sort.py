"""Distinct keys and their counts from a stream of keys larger than the memory.

Blocks are sorted and spilled as runs into one file; runs are merged a piece of each at a time.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.ngram.lookup_tables import Keys

Counted = tuple[Keys, Keys]  # keys, rising and distinct, and how often each occurred


class Column:
    """An array on disk, appended to, then read as a memory map.

    Args:
        path: of the file.
        kind: numpy's name of the type.
    """

    def __init__(self, path: Path, kind: str = "int64") -> None:
        self.path = path
        self._kind = np.dtype(kind)
        self._file = open(path, "xb")  # noqa: SIM115 - closed by `array`
        self.length = 0

    def append(self, values: npt.NDArray[np.generic]) -> None:
        """Adds values at the end."""
        self._file.write(np.ascontiguousarray(values, dtype=self._kind).data)
        self.length += len(values)

    def array(self) -> npt.NDArray[np.generic]:
        """All of it; nothing is appended afterwards."""
        self._file.close()
        return mapped(self.path, self._kind.name, self.length, "r")

    def remove(self) -> None:
        """Takes the file away."""
        self._file.close()
        self.path.unlink()


def mapped(path: Path, kind: str, length: int, mode: str = "w+") -> npt.NDArray[np.generic]:
    """An array of a file, which the kernel keeps in memory as far as there is room."""
    if not length:  # which cannot be mapped
        return np.empty(0, dtype=kind)
    if mode == "w+":  # a file with holes would end the process where the disk is full
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
    """Distinct keys, rising, and their counts, as arrays on disk.

    Args:
        blocks: keys in any order; a block is sorted in memory.
        folder, name: where the arrays lie: NAME.keys and NAME.counts.
        piece: keys that are merged at once.
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


def _append(columns: tuple[Column, Column], counted: Counted) -> None:
    for column, values in zip(columns, counted, strict=True):
        column.append(values)


def _merge(runs: list[_Run], keys: Keys, counts: Keys, piece: int) -> Iterator[Counted]:
    """Yields what several sorted runs hold, rising; equal keys' counts are summed."""
    share = max(1, piece // max(1, len(runs)))
    while runs:
        # what is up to the least of the pieces' last keys can be told now
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


def _summed(keys: list[Keys], counts: list[Keys]) -> Counted:
    if len(keys) == 1:
        return keys[0], counts[0]
    together = np.concatenate(keys)
    rising = together.argsort(kind="stable")
    together = together[rising]
    first = np.flatnonzero(np.concatenate([[True], together[1:] != together[:-1]]))
    return together[first], np.add.reduceat(np.concatenate(counts)[rising], first)
