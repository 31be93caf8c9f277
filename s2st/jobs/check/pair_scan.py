"""Checks of pairs of lines: unequal files, empty sides, copies, duplicates, test in training."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from s2st.jobs.check.findings import (
    BREAKS,
    KEPT_LINES,
    REMARK,
    WARNING,
    Finding,
    Tally,
)
from s2st.jobs.check.model_fit import ModelFit
from s2st.jobs.check.text_scan import TextScan, count_words

MAX_RATIO = 9  # of the numbers of words, as in Moses' clean-corpus-n.perl
RATIO_WORDS = 10  # words of the longer side; short lines differ by chance
KINDS = (
    ("half-empty", WARNING, "{count} with text on one side only: are the files aligned?"),
    ("copies", WARNING, "{count} equal on both sides: the model learns to copy"),
    ("ratio", REMARK, f"{{count}} of which one side has more than {MAX_RATIO} times the words of "
     "the other"),
)  # fmt: skip
Hashes = npt.NDArray[np.uint64]


class TextPairs:
    """The lines of one or two aligned files, read once.

    Args:
        paths: one file, or source and target.
        max_length: words of a long line.
        fit: compares the text with a model; None where there is no model.

    Attributes:
        name: the files, for messages.
        hashes: a hash of each line of the file, or of each pair.
        first_hashes: a hash of each line of the first file.
    """

    def __init__(self, paths: Sequence[str], max_length: int, fit: ModelFit | None = None) -> None:
        self.scans = [TextScan(path, max_length) for path in paths]
        self.name = " and ".join(paths)
        self._fit = fit
        self._tally = Tally()
        self._whole, self._first = array("Q"), array("Q")

    @property
    def hashes(self) -> Hashes:
        """Return the hashes of pairs with text."""
        return np.frombuffer(self._whole, dtype=np.uint64)

    @property
    def first_hashes(self) -> Hashes:
        """Return the hashes of the lines of the first file."""
        return np.frombuffer(self._first, dtype=np.uint64)

    def read(self) -> None:
        """Read all lines; raise InputMissingError for a file that cannot be read."""
        for number, row in enumerate(zip_longest(*(s.lines() for s in self.scans)), start=1):
            if None in row:
                continue  # one file is longer, and is read to its end
            if self._fit is not None:
                self._fit.add(row)
            self._whole.append(_hash("\n".join(row)) if any(map(str.strip, row)) else 0)
            self._first.append(_hash(row[0]) if row[0].strip() else 0)
            if len(row) == 2:
                self._compare(row[0], row[1], number)

    def _compare(self, source: str, target: str, number: int) -> None:
        sizes = count_words(source), count_words(target)
        if min(sizes) == 0 < max(sizes):
            self._tally.add("half-empty", number)
        elif source == target and sizes[0] > 1:
            self._tally.add("copies", number)
        elif max(sizes) > MAX_RATIO * min(sizes) and max(sizes) >= RATIO_WORDS:
            self._tally.add("ratio", number)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings of the files and of their pairs."""
        for scan in self.scans:
            yield from scan.findings()
        counts = [scan.count for scan in self.scans]
        if len(set(counts)) > 1:
            lines = ", ".join(f"{scan.path} has {scan.count:,}" for scan in self.scans)
            text = f"unequal numbers of lines: {lines}; parallel files need the same number"
            yield Finding(BREAKS, "unequal-lines", self.name, text, 1, (min(counts) + 1,))
        yield from self._tally.findings(self.name, KINDS)
        yield from _duplicates(self.hashes, self.name, "pair" if len(counts) == 2 else "line")
        if self._fit is not None:
            yield from self._fit.findings([scan.path for scan in self.scans])

    def summary(self) -> str:
        """Return the name and the size of the text."""
        return f"{self.name}: {max(scan.count for scan in self.scans):,} lines"


def overlap(training: TextPairs, held_out: TextPairs) -> Iterator[Finding]:
    """Yield findings about held-out sentences that occur in training."""
    pairs = np.isin(held_out.hashes, training.hashes) & (held_out.hashes != 0)
    found = np.flatnonzero(pairs) + 1
    total = max(1, len(held_out.hashes))
    if len(found):
        text = f"{len(found):,} of {total:,} sentences occur in {training.name}: results on them "
        text += "are too good; remove them from the training text"
        lines = tuple(found[:KEPT_LINES].tolist())
        yield Finding(WARNING, "in-training", held_out.name, text, len(found), lines)
    if len(held_out.scans) == 2:
        sources = np.isin(held_out.first_hashes, training.first_hashes)
        only = np.flatnonzero(sources & (held_out.first_hashes != 0) & ~pairs) + 1
        if len(only):
            text = f"{len(only):,} of {total:,} sources occur in {training.name} with another "
            text += "translation"
            lines = tuple(only[:KEPT_LINES].tolist())
            yield Finding(REMARK, "source-in-training", held_out.name, text, len(only), lines)


def _duplicates(hashes: Hashes, name: str, unit: str) -> Iterator[Finding]:
    _, first = np.unique(hashes, return_index=True)
    is_new = np.zeros(len(hashes), dtype=bool)
    is_new[first] = True
    again = np.flatnonzero(~is_new & (hashes != 0)) + 1
    if len(again):
        share = len(again) / len(hashes)
        text = f"{len(again):,} {unit}s ({share:.1%}) repeat an earlier one"
        lines = tuple(again[:KEPT_LINES].tolist())
        yield Finding(REMARK, "duplicates", name, text, len(again), lines)


def _hash(text: str) -> int:
    """Return a 64-bit hash of a text, not 0."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
