"""Which features lists have, and whether weights and other lists fit them.

A feature whose name holds "_" is sparse, as Moses defines it: a hypothesis may lack it, and its
value is 0 there. Every other feature is dense: each hypothesis has it, with as many values.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from s2st.errors import DataError
from s2st.rescoring.feature_weights import BASELINE, LENGTH, Weights, check_names, competes, is_ours
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import NBestEntry, read_nbest

# Moses adds it to the total, but never writes it into lists: it is not tuned
_NEVER_IN_LISTS = re.compile(r"UnknownWordPenalty\d*")
SAME_SYSTEM = "make both files with the same system and options"


def is_sparse(name: str) -> bool:
    """Whether a hypothesis may lack a feature of this name."""
    return "_" in name


@dataclass(frozen=True)
class Layout:
    """The features of the first hypothesis of a file.

    Attributes:
        counts: number of values of each feature, by name.
        path, line: where the hypothesis stands.
    """

    counts: Mapping[str, int]
    path: str
    line: int

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{_shown(self.path)}, line {self.line}"

    def check_agrees(self, other: "Layout") -> None:
        """Raises DataError for the first dense feature in which two files differ."""
        for name in dict.fromkeys((*self.counts, *other.counts)):
            own, wanted = self.counts.get(name), other.counts.get(name)
            if own != wanted and not is_sparse(name):
                message = f"{_difference(name, own, wanted, other.place)}; {SAME_SYSTEM}"
                raise DataError(message, self.path, self.line)


@dataclass(frozen=True)
class FeatureRules:
    """What a job does with the features of its lists.

    Attributes:
        names: of the models' features, computed or (`scored`) taken from the lists.
        scored: whether an earlier rescoring wrote them.
        length: whether the number of words is a feature.
        own: whether the system's own features compete instead of its total.
        tunes: whether weights are learned.
    """

    names: tuple[str, ...]
    scored: bool = False
    length: bool = False
    own: bool = False
    tunes: bool = False

    def layout(self, entry: NBestEntry, path: str) -> Layout:
        """The features that a hypothesis has once its scores are computed."""
        counts = {BASELINE: 1}
        for name, values in entry.features:
            if name != LENGTH if self.scored else not is_ours(name):
                counts[name] = len(values)
        if not self.scored:
            counts |= dict.fromkeys(self.names, 1)
        if self.length:
            counts[LENGTH] = 1
        return Layout(counts, path, entry.line)

    def check_weights(self, given: Weights, layout: Layout | None) -> None:
        """Compares weights by hand, or of a file, with the features of the lists.

        Args:
            given: the weights; zeros for a feature that the lists lack do no harm.
            layout: of the lists; None where there are none to look at.

        Raises:
            UsageError, DataError: of `--weight` or of a file: a weight for a feature that does not
                exist or does not compete, or more or fewer weights than the feature has values.
        """
        if layout is None:
            known = [BASELINE, *self.names, *([LENGTH] if self.length else [])]
            check_names(given, known)
            return
        for name, numbers in given.values.items():
            count = layout.counts.get(name)
            if count is None:
                self._check_absent(given, name, layout)
            elif count != len(numbers):
                has = f"{_values(count)} in {layout.place}"
                raise given.fault(name, f"{_values(len(numbers), 'weight')}, but it has {has}")
            elif self.tunes and any(numbers) and not competes(name, self.own):
                other = "total" if self.own else "own"
                raise given.fault(
                    name,
                    f"--tune does not weigh it; --baseline-features {other} would: choose that or "
                    "leave the weight out",
                )

    def _check_absent(self, given: Weights, name: str, layout: Layout) -> None:
        if not any(given.values[name]) or (is_sparse(name) and not is_ours(name)):
            return
        if given.path is not None and _NEVER_IN_LISTS.fullmatch(name):
            return
        if name == LENGTH:
            raise given.fault(name, "add --length-feature, which computes it")
        known = ", ".join(known[:40] for known in layout.counts)
        raise given.fault(name, f"no such feature in {layout.place}; there are {known}")

    def needed(self, given: Weights | None, layout: Layout | None) -> tuple[dict[str, int], bool]:
        """What each hypothesis must have: values by name, and whether no other dense feature."""
        if self.own and layout is not None and (given is None or self.tunes):
            return {n: c for n, c in layout.counts.items() if not is_ours(n)}, True
        there = {} if layout is None else layout.counts
        needed = {}
        for name, numbers in (given.values if given is not None else {}).items():
            absent = name not in there and _NEVER_IN_LISTS.fullmatch(name)
            if any(numbers) and not is_ours(name) and not absent:
                needed[name] = len(numbers)
        return needed, False


class FeatureGuard:
    """Checks, as lists stream by, that every hypothesis has the features that are weighed.

    Args:
        rules: what the job does with features.
        given: weights by hand or from a file, else None.
        first: the first list of the file that is rescored, maybe empty.
        path: of that file.

    Raises:
        UsageError, DataError: the weights do not fit that list.
    """

    def __init__(
        self, rules: FeatureRules, given: Weights | None, first: Sequence[NBestEntry], path: str
    ) -> None:
        self._rules = rules
        self._layout = rules.layout(first[0], path) if first else None
        if given is not None:
            rules.check_weights(given, self._layout)
        self._needed, self._closed = rules.needed(given, self._layout)
        if self._closed and not self._needed:
            message = "no features, which --baseline-features own weighs: leave that option out"
            raise DataError(message, path, first[0].line)
        self._looks = bool(self._needed) or self._closed or rules.scored
        self._place = "the weights"
        if self._layout is not None:
            self._place = self._layout.place
        self._fitting: tuple[tuple[str, int], ...] | None = None  # the last shape that fitted

    def check_start(self, path: str, encoding_errors: str) -> None:
        """Checks the first list of another file early, where it can be read again.

        Raises:
            InputMissingError, DataError: no such file, no lists, or other features.
        """
        if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
            return
        lists = read_nbest(read_lines(path, encoding_errors), path)
        if next(self.watch(lists, path), None) is None:
            raise DataError("no lists", path)

    def watch(self, lists: Iterable[list[NBestEntry]], path: str) -> Iterator[list[NBestEntry]]:
        """Yields the lists of a file; raises DataError that names line and feature."""
        started = False
        for entries in lists:
            if not started and self._layout is not None:
                self._rules.layout(entries[0], path).check_agrees(self._layout)
            started = True
            for entry in entries if self._looks else ():
                shape = tuple((name, len(values)) for name, values in entry.features)
                if shape != self._fitting:
                    self._check(shape, path, entry.line)
                    self._fitting = shape
            yield entries

    def _check(self, shape: Sequence[tuple[str, int]], path: str, line: int) -> None:
        found = dict(shape)
        if len(found) < len(shape):
            names = Counter(name for name, _ in shape)
            twice = [name for name, count in names.items() if count > 1 and self._weighs(name)]
            if twice:
                raise DataError(f"feature {twice[0][:40]!r} is there twice", path, line)
        for name, count in self._needed.items():
            own = found.get(name)
            if own != count and not (own is None and is_sparse(name)):
                raise DataError(_difference(name, own, count, self._place), path, line)
        if not self._closed:
            return
        for name, own in shape:
            if is_ours(name):
                continue
            if is_sparse(name):  # learned from the first hypothesis that has it
                self._needed.setdefault(name, own)
            elif name not in self._needed:
                raise DataError(_difference(name, own, None, self._place), path, line)

    def _weighs(self, name: str) -> bool:
        return name in self._needed or self._closed or is_ours(name)


def _difference(name: str, own: int | None, wanted: int | None, place: str) -> str:
    """How a feature differs from the same one in another place; None is no such feature."""
    shown = repr(name[:40])
    if own is None:
        return f"no feature {shown}, which has {_values(wanted or 0)} in {place}"
    other = "no such feature" if wanted is None else _values(wanted)
    return f"feature {shown} has {_values(own)}, but {place} has {other}"


def _values(count: int, noun: str = "value") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path
