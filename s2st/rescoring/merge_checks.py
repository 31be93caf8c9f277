"""Check whether the merged lists of several systems belong to the same source lines.

Two systems translate one source line alike: their best hypotheses share more character trigrams
than hypotheses of neighboring lists do. If they do not, the files belong to different sources, or
one of them is shifted by a line.
"""

import math
from collections.abc import Iterator, Sequence

from s2st.rescoring.feature_weights import HAS, SYSTEM, TOTAL
from s2st.text.nbest_lists import NBestEntry

FEWEST = 10  # lists; fewer show nothing
ENOUGH = 50  # lists after which the check decides
CLEAR = 3.0  # standard errors by which the right lists must be more similar than neighboring ones


class MergeCheck:
    """Watches merged lists, and collects what speaks against a common source.

    Args:
        names: the file of each system.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._lists = 0
        self._missing = [0] * len(names)
        self._previous: frozenset[str] = frozenset()
        self._gains: list[list[float]] = [[] for _ in names]

    def watch(self, lists: Iterator[list[NBestEntry]]) -> Iterator[list[NBestEntry]]:
        """Yield the merged lists of all systems."""
        if len(self._names) == 1:
            yield from lists
            return
        for entries in lists:
            self._add([_best(entries, system) for system in range(len(self._names))])
            yield entries

    def warnings(self) -> list[str]:
        """Return what is wrong, one line for each file."""
        found = []
        for name, missing, gains in zip(self._names, self._missing, self._gains, strict=True):
            if missing:
                found.append(
                    f"{name} has no list for {missing:,} of the {self._lists:,} ids of all files: "
                    "its features are 0 there"
                )
            if _nothing_in_common(gains):
                found.append(
                    f"{name} is not more similar to the list of {self._names[0]} with the same id "
                    "than to the one before: check that both files translate the same source, and "
                    "that both count its lines from 0"
                )
        return found

    def _add(self, best: Sequence[str | None]) -> None:
        self._lists += 1
        for system, text in enumerate(best):
            self._missing[system] += text is None
        if best[0] is None or self._lists > ENOUGH:
            return
        first = _trigrams(best[0])
        for gains, text in zip(self._gains[1:], best[1:], strict=True):
            if text is not None and self._previous:
                other = _trigrams(text)
                gains.append(_similarity(first, other) - _similarity(self._previous, other))
        self._previous = first


def _best(entries: Sequence[NBestEntry], system: int) -> str | None:
    """Return a system's own hypothesis with its highest total, None if it has no list."""
    start = f"{SYSTEM}{system}"
    best, highest = None, -math.inf
    for entry in entries:
        values = dict(entry.features)
        if values[f"{start}{HAS}"][0] and (best is None or values[f"{start}{TOTAL}"][0] > highest):
            best, highest = entry.hypothesis, values[f"{start}{TOTAL}"][0]
    return best


def _trigrams(text: str) -> frozenset[str]:
    whole = f" {text.lower().strip()} "
    return frozenset(whole[i : i + 3] for i in range(max(1, len(whole) - 2)))


def _similarity(first: frozenset[str], other: frozenset[str]) -> float:
    """Return Dice's coefficient of two sets."""
    return 2 * len(first & other) / (len(first) + len(other))


def _nothing_in_common(gains: Sequence[float]) -> bool:
    """Whether the mean gain is not clearly above 0."""
    if len(gains) < FEWEST:
        return False
    mean = sum(gains) / len(gains)
    variance = sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1)
    return mean <= CLEAR * math.sqrt(variance / len(gains))
