"""Totals of n-best lists that were rescored before: those of the baseline, not the new ones.

`rescore-nbest --format nbest` replaces the total of each hypothesis, and keeps the old one as the
feature `Baseline`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from s2st.errors import DataError
from s2st.rescoring.feature_weights import BASELINE
from s2st.text.nbest_lists import NBestEntry

REMEDY = "give lists of one kind: all as the system made them, or all rescored"


def restored_totals(lists: Iterable[list[NBestEntry]], path: str) -> Iterator[list[NBestEntry]]:
    """Yield lists with the totals that they had before a rescoring, if they have been rescored.

    Args:
        lists: the lists of one file. The first hypothesis says whether they have been rescored.
        path: name of the file, for messages.

    Raises:
        DataError: only some of the hypotheses have the feature `Baseline`, or one has it twice.
    """
    rescored: bool | None = None
    for entries in lists:
        if rescored is None:
            rescored = bool(_values(entries[0]))
        if rescored:
            yield [replace(entry, total=_baseline(entry, path)) for entry in entries]
        elif _values(entries[0]):
            message = f"feature {BASELINE}, which the first hypothesis lacks; {REMEDY}"
            raise DataError(message, path, entries[0].line)
        else:
            yield entries


def _values(entry: NBestEntry) -> list[tuple[float, ...]]:
    return [values for name, values in entry.features if name == BASELINE]


def _baseline(entry: NBestEntry, path: str) -> float:
    found = _values(entry)
    if len(found) > 1:
        raise DataError(f"feature {BASELINE!r} appears twice", path, entry.line)
    if not found:
        message = f"no feature {BASELINE}, which the first hypothesis has; {REMEDY}"
        raise DataError(message, path, entry.line)
    if len(found[0]) != 1:
        raise DataError(f"feature {BASELINE!r} has {len(found[0])} values", path, entry.line)
    return found[0][0]
