"""Finding of values that occurred before, in a stream of 64-bit hashes."""

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


class SeenHashes:
    """A growing set of hashes, kept as sorted runs that are merged when they have similar sizes.

    Memory is 8 bytes per distinct hash, and up to three times as much while two runs are merged.
    Two of n different lines have the same hash with a probability of about n * n / 2**65: 3e-6 for
    ten million.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Add hashes; return for each whether this is its first occurrence."""
        distinct, first = np.unique(hashes, return_index=True)
        new = np.ones(len(distinct), dtype=bool)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            new &= run[places] != distinct
        result = np.zeros(len(hashes), dtype=bool)
        result[first[new]] = True
        if new.any():
            self._append(distinct[new])
        return result

    def _append(self, run: Hashes) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort()
        self._runs.append(run)
