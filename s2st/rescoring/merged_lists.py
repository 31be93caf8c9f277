"""Merging of the n-best lists of several systems: duplicates joined, each system's features apart.

System i (from 0, in the order of the files) gives each of its features the name `SystemiNAME`. It
also gives `SystemiTotal`, its total, and `SystemiHas`, which is 1 for hypotheses that it has. A
hypothesis that a system lacks gets a floor: features and total of the hypothesis with the system's
lowest total in this list, and `SystemiHas` 0. A system without a list gives zeros.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from s2st.errors import DataError
from s2st.rescoring.consensus import standardized
from s2st.rescoring.feature_checks import is_sparse
from s2st.rescoring.feature_weights import (
    BASELINE,
    COMPUTED,
    HAS,
    SYSTEM,
    TOTAL,
    Features,
    is_ours,
)
from s2st.text.nbest_lists import NBestEntry


def merge_lists(
    streams: Sequence[Iterable[list[NBestEntry]]],
    paths: Sequence[str],
    use_scores: bool,
    heads: Sequence[NBestEntry] | None = None,
) -> Iterator[list[NBestEntry]]:
    """Yield the merged lists of several systems, in rising order of their ids.

    The hypotheses of the first system come first, in their order, then the new ones of the next.
    The total of a merged hypothesis is the mean of its totals, each divided by its standard
    deviation in the merged list, because totals of different systems have different scales.

    Args:
        streams: the lists of each system, with rising ids and the system's own totals. One
            system's lists are passed on as they are.
        paths: the files of the streams, for messages.
        use_scores: whether to keep the models' scores of an earlier rescoring, if all files have
            them.
        heads: the first hypothesis of each file, if the streams are parts of the files.

    Raises:
        DataError: a file has no lists, or a hypothesis has other dense features than the first of
            its file.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    systems = [
        _System(index, stream, path, None if heads is None else heads[index])
        for index, (stream, path) in enumerate(zip(streams, paths, strict=True))
    ]
    scored = use_scores and all(system.rescored for system in systems)
    while True:
        ids = [system.next_id for system in systems if system.next_id is not None]
        if not ids:
            return
        yield _merged([system.take(min(ids)) for system in systems], systems, scored)


class _System:
    """The lists of one system, with a look at the next one."""

    def __init__(
        self, index: int, lists: Iterable[list[NBestEntry]], path: str, head: NBestEntry | None
    ) -> None:
        self.index = index
        self._path = path
        self._lists = iter(lists)
        if head is None:
            first = next(self._lists, None)
            if first is None:
                raise DataError("no lists", path)
            self._lists, head = chain([first], self._lists), first[0]
        self._dense = _dense(head)
        self.rescored = BASELINE in dict(head.features)
        self._next: list[NBestEntry] | None = None
        self._advance()

    @property
    def next_id(self) -> int | None:
        """The id of the next list, None at the end."""
        return None if self._next is None else self._next[0].id

    def take(self, identifier: int) -> dict[str, NBestEntry]:
        """Return the hypotheses of a list by text; of equal ones, that with the highest total."""
        found: dict[str, NBestEntry] = {}
        if self._next is None or self._next[0].id != identifier:
            return found
        for entry in self._next:
            known = found.get(entry.hypothesis)
            if known is None or entry.total > known.total:
                found[entry.hypothesis] = entry
        self._advance()
        return found

    def features(self, entry: NBestEntry | None, total: float, has: bool) -> Features:
        """Return a hypothesis' features under the system's names; None has zeros."""
        start = f"{SYSTEM}{self.index}"
        own: Features = tuple((name, (0.0,) * count) for name, count in self._dense.items())
        if entry is not None:
            own = tuple(feature for feature in entry.features if not is_ours(feature[0]))
        named = tuple((f"{start}{name}", values) for name, values in own)
        return (*named, (f"{start}{TOTAL}", (total,)), (f"{start}{HAS}", (float(has),)))

    def _advance(self) -> None:
        self._next = next(self._lists, None)
        for entry in self._next or ():
            found = _dense(entry)
            if found != self._dense:
                odd = [n for n in {**found, **self._dense} if found.get(n) != self._dense.get(n)]
                raise DataError(
                    f"feature {odd[0][:40]!r} has {found.get(odd[0], 0)} values, but "
                    f"{self._dense.get(odd[0], 0)} in the first hypothesis; merged lists need the "
                    "same features in every hypothesis of a file",
                    self._path,
                    entry.line,
                )


def _dense(entry: NBestEntry) -> dict[str, int]:
    return {
        name: len(values)
        for name, values in entry.features
        if not is_sparse(name) and not is_ours(name)
    }


def _merged(
    lists: Sequence[dict[str, NBestEntry]], systems: Sequence[_System], scored: bool
) -> list[NBestEntry]:
    """Return one list from those of the systems, each by text."""
    texts = list(dict.fromkeys(text for own in lists for text in own))
    features: list[Features] = [()] * len(texts)
    totals = []
    for own, system in zip(lists, systems, strict=True):
        floor = min(own.values(), key=lambda entry: _rank(entry.total), default=None)
        column = []
        for index, text in enumerate(texts):
            entry = own.get(text, floor)
            total = 0.0 if entry is None else entry.total
            features[index] += system.features(entry, total, text in own)
            column.append(total)
        if own:
            totals.append(standardized(np.array(column)))
    means = np.mean(totals, axis=0).tolist()
    merged = []
    for text, values, mean in zip(texts, features, means, strict=True):
        first = next(own[text] for own in lists if text in own)
        if scored:
            kept = tuple(x for x in first.features if is_ours(x[0]) and x[0] != BASELINE)
            values += tuple(x for x in kept if x[0] not in COMPUTED)
        merged.append(NBestEntry(first.id, text, values, mean, first.extra, first.line))
    return merged


def _rank(total: float) -> float:
    """Return the sort key of the floor: a total that is not finite is not a floor."""
    return total if math.isfinite(total) else math.inf
