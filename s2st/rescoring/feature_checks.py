"""Checks that n-best lists, weights and development lists have the same features.

As in Moses, a feature whose name contains "_" is sparse: a hypothesis may lack it, and its value is
then 0. All other features are dense: each hypothesis has them, with the same number of values.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from s2st.errors import DataError
from s2st.rescoring.feature_weights import (
    BASELINE,
    COMPUTED,
    CONSENSUS,
    LENGTH,
    Weights,
    check_names,
    competes,
    is_ours,
)
from s2st.text.nbest_lists import NBestEntry

# Moses adds this untuned feature to the total, but never writes it into lists
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
        path, line: file and line of the hypothesis.
    """

    counts: Mapping[str, int]
    path: str
    line: int

    @property
    def place(self) -> str:
        """Return file and line as text, for messages."""
        return f"{_shown(self.path)}, line {self.line}"

    def check_agrees(self, other: "Layout") -> None:
        """Raise DataError for the first dense feature in which two files differ."""
        for name in dict.fromkeys((*self.counts, *other.counts)):
            count, wanted = self.counts.get(name), other.counts.get(name)
            if count != wanted and not is_sparse(name):
                message = f"{_difference(name, count, wanted, other.place)}; {SAME_SYSTEM}"
                raise DataError(message, self.path, self.line)


@dataclass(frozen=True)
class FeatureRules:
    """How a job uses the features of its lists.

    Attributes:
        names: names of the models' features.
        scored: whether the lists have these features from an earlier rescoring.
        length: whether the number of words is a feature.
        consensus: whether the consensus of the list is a feature.
        own_features: whether to weigh the baseline's own features instead of its total.
        tunes: whether weights are tuned.
    """

    names: tuple[str, ...]
    scored: bool = False
    length: bool = False
    consensus: bool = False
    own_features: bool = False
    tunes: bool = False

    def layout(self, entry: NBestEntry, path: str) -> Layout:
        """Return the features that a hypothesis will have when it is scored."""
        counts = {BASELINE: 1}
        for name, values in entry.features:
            if name not in COMPUTED if self.scored else not is_ours(name):
                counts[name] = len(values)
        if not self.scored:
            counts |= dict.fromkeys(self.names, 1)
        counts |= dict.fromkeys(self.computed, 1)
        return Layout(counts, path, entry.line)

    @property
    def computed(self) -> tuple[str, ...]:
        """Return the names of the features that need no model."""
        wanted = {LENGTH: self.length, CONSENSUS: self.consensus}
        return tuple(name for name in COMPUTED if wanted[name])

    def check_weights(self, given: Weights, layout: Layout | None) -> None:
        """Check the user's weights against the features of the lists.

        Args:
            given: the weights. A weight of 0 is allowed for a feature that does not exist.
            layout: the features of the lists; None if there are no lists.

        Raises:
            UsageError, DataError: a weight from `--weight` or from a file belongs to no feature, or
                to one that is not weighed, or its number of values is wrong.
        """
        if layout is None:
            known = [BASELINE, *self.names, *self.computed]
            check_names(given, known)
            return
        for name, numbers in given.values.items():
            count = layout.counts.get(name)
            if count is None:
                self._check_absent(given, name, layout)
            elif count != len(numbers):
                has = f"{_values(count)} in {layout.place}"
                raise given.fault(name, f"{_values(len(numbers), 'weight')}, but it has {has}")
            elif self.tunes and any(numbers) and not competes(name, self.own_features):
                other = "total" if self.own_features else "own"
                raise given.fault(
                    name,
                    f"--tune does not tune this feature; use --baseline-features {other}, or leave "
                    "out the weight",
                )

    def _check_absent(self, given: Weights, name: str, layout: Layout) -> None:
        if not any(given.values[name]) or (is_sparse(name) and not is_ours(name)):
            return
        if given.path is not None and _NEVER_IN_LISTS.fullmatch(name):
            return
        if name in COMPUTED:
            option = "--length-feature" if name == LENGTH else "--consensus bleu or chrf"
            raise given.fault(name, f"this feature needs {option}")
        known = ", ".join(known[:40] for known in layout.counts)
        raise given.fault(name, f"no such feature in {layout.place}; there are {known}")

    def needed(self, given: Weights | None, layout: Layout | None) -> tuple[dict[str, int], bool]:
        """Return the features that each hypothesis must have.

        Returns:
            Number of values by feature name, and whether other dense features are forbidden.
        """
        if self.own_features and layout is not None and (given is None or self.tunes):
            return {n: c for n, c in layout.counts.items() if not is_ours(n)}, True
        present = {} if layout is None else layout.counts
        needed = {}
        for name, numbers in (given.values if given is not None else {}).items():
            absent = name not in present and _NEVER_IN_LISTS.fullmatch(name)
            if any(numbers) and not is_ours(name) and not absent:
                needed[name] = len(numbers)
        return needed, False


class FeatureGuard:
    """Checks, while lists are streamed, that every hypothesis has the features that have weights.

    Args:
        rules: how the job uses features.
        given: the user's weights, None if there are none.
        first: the first list of the file to rescore; may be empty.
        path: path of that file.

    Raises:
        UsageError, DataError: the weights do not fit the first list.
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
            message = "no features, but --baseline-features own needs some: leave out the option"
            raise DataError(message, path, first[0].line)
        self._checks = bool(self._needed) or self._closed or rules.scored
        self._known: Collection[str] = () if self._layout is None else self._layout.counts
        self._place = "the weights"
        if self._layout is not None:
            self._place = self._layout.place
        self._checked: tuple[tuple[str, int], ...] | None = None  # the last shape that passed

    def check_start(self, lists: Iterable[list[NBestEntry]], path: str) -> None:
        """Check the first list of another file before scoring.

        Raises:
            InputMissingError, DataError: the file is missing, empty, or has other features.
        """
        if next(self.watch(lists, path), None) is None:
            raise DataError("no lists", path)

    def watch(self, lists: Iterable[list[NBestEntry]], path: str) -> Iterator[list[NBestEntry]]:
        """Yield the lists of a file; raise DataError that names line and feature."""
        started = False
        for entries in lists:
            if not started and self._layout is not None:
                self._rules.layout(entries[0], path).check_agrees(self._layout)
            started = True
            for entry in entries if self._checks else ():
                shape = tuple((name, len(values)) for name, values in entry.features)
                if shape != self._checked:
                    self._check(shape, path, entry.line)
                    self._checked = shape
            yield entries

    def _check(self, shape: Sequence[tuple[str, int]], path: str, line: int) -> None:
        found = dict(shape)
        if len(found) < len(shape):
            names = Counter(name for name, _ in shape)
            twice = [name for name, count in names.items() if count > 1 and self._weighs(name)]
            if twice:
                raise DataError(f"feature {twice[0][:40]!r} appears twice", path, line)
        for name in found if self._rules.scored else ():
            if is_ours(name) and name not in COMPUTED and name not in self._known:
                raise DataError(_difference(name, found[name], None, self._place), path, line)
        for name, wanted in self._needed.items():
            count = found.get(name)
            if count != wanted and not (count is None and is_sparse(name)):
                raise DataError(_difference(name, count, wanted, self._place), path, line)
        if not self._closed:
            return
        for name, count in shape:
            if is_ours(name):
                continue
            if is_sparse(name):  # the first hypothesis with the feature sets its number of values
                self._needed.setdefault(name, count)
            elif name not in self._needed:
                raise DataError(_difference(name, count, None, self._place), path, line)

    def _weighs(self, name: str) -> bool:
        return name in self._needed or self._closed or is_ours(name)


def _difference(name: str, count: int | None, wanted: int | None, place: str) -> str:
    """Describe how a feature differs from the one in another place; None is no such feature."""
    shown = repr(name[:40])
    if count is None:
        return f"no feature {shown}, which has {_values(wanted or 0)} in {place}"
    other = "no such feature" if wanted is None else _values(wanted)
    return f"feature {shown} has {_values(count)}, but {place} has {other}"


def _values(count: int, noun: str = "value") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path
