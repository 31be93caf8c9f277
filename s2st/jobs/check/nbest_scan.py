"""Checks of n-best lists: malformed lines, order, features, sources, hypotheses."""

import math
from collections.abc import Iterator

from s2st.errors import DataError
from s2st.jobs.check.findings import BREAKS, REMARK, WARNING, Finding, Tally
from s2st.jobs.check.model_fit import ModelFit
from s2st.jobs.check.text_scan import TextScan
from s2st.text.nbest_dialects import MOSES, recognize
from s2st.text.nbest_entries import NBestEntry, Numbered, parse_entry

KINDS = (
    ("malformed", BREAKS, "{count} that are no n-best lines; the first: "),
    ("order", BREAKS, "{count} with a smaller id than the line before: sort the lists by id"),
    ("no-source", BREAKS, "{count} with an id beyond the last line of the source"),
    (
        "features",
        BREAKS,
        "{count} with other features than the first line, which "
        "rescore-nbest --baseline-features own refuses",
    ),
    ("not-finite", WARNING, "{count} with a score that is not a finite number"),
    ("empty-hypothesis", WARNING, "{count} with an empty hypothesis"),
    ("same-hypothesis", REMARK, "{count} with a hypothesis that is in the list already"),
)


class NBestScan:
    """Reads n-best lists line by line and counts what is odd.

    Args:
        path: the file.
        sources: number of lines of the source, None if it is not known.
        fit: compares the hypotheses with a model's target side; None where there is no model.
    """

    def __init__(self, path: str, sources: int | None, fit: ModelFit | None) -> None:
        self._scan = TextScan(path, max_length=1 << 62)
        self._path = path
        self._sources = sources
        self._fit = fit
        self._tally = Tally()
        self._fault = ""  # of the first malformed line
        self._features: tuple[tuple[str, int], ...] | None = None
        self._id = -1
        self._ids = 0
        self._seen: set[str] = set()

    def read(self) -> None:
        """Read all lines; raise InputMissingError if the file cannot be read."""
        found, lines = recognize(enumerate(self._scan.lines(), start=1))
        if found.dialect is MOSES:
            self._read_moses(lines)
            return
        try:
            for entry, _ in found.entries(lines, self._path, None):
                self._inspect(entry, entry.line)
        except DataError as error:  # lines depend on those before: nothing after it can be read
            self._malformed(error, error.line or 0)

    def _read_moses(self, lines: Numbered) -> None:
        for number, line in lines:
            try:
                entry = parse_entry(line, self._path, number)
            except DataError as error:
                self._malformed(error, number)
                continue
            self._inspect(entry, number)

    def _malformed(self, error: DataError, number: int) -> None:
        place = str(DataError("", self._path, number))
        self._fault = self._fault or str(error).removeprefix(place)
        self._tally.add("malformed", number)

    def _inspect(self, entry: NBestEntry, number: int) -> None:
        add = self._tally.add
        if entry.id != self._id:
            if entry.id < self._id:
                add("order", number)
            if self._sources is not None and entry.id >= self._sources:
                add("no-source", number)
            self._id, self._seen = entry.id, set()
            self._ids += 1
        # features whose names have "_" are sparse: lines need not have the same ones
        features = tuple(sorted((n, len(v)) for n, v in entry.features if "_" not in n))
        if self._features is None:
            self._features = features
        elif features != self._features:
            add("features", number)
        values = [entry.total, *(value for _, values in entry.features for value in values)]
        if not all(map(math.isfinite, values)):
            add("not-finite", number)
        if not entry.hypothesis:
            add("empty-hypothesis", number)
        if entry.hypothesis in self._seen:
            add("same-hypothesis", number)
        self._seen.add(entry.hypothesis)
        if self._fit is not None:
            self._fit.add([entry.hypothesis])

    def findings(self) -> Iterator[Finding]:
        """Yield what was found in the lines and in the lists."""
        yield from (f for f in self._scan.findings() if f.kind not in ("spaces", "empty"))
        kinds = [
            (kind, severity, text + self._fault.replace("{", "{{").replace("}", "}}"))
            if kind == "malformed"
            else (kind, severity, text)
            for kind, severity, text in KINDS
        ]
        yield from self._tally.findings(self._path, kinds)
        if self._sources is not None and self._ids < self._sources:
            missing = self._sources - self._ids
            text = f"{missing:,} of {self._sources:,} source lines have no list"
            yield Finding(REMARK, "no-list", self._path, text, missing)
        if self._fit is not None:
            yield from self._fit.findings([self._path])

    def summary(self) -> str:
        """Return the name and the size of the lists."""
        return f"{self._path}: {self._ids:,} lists, {self._scan.count:,} hypotheses"
