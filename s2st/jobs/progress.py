"""Progress of the jobs generate, score and rescore-nbest: the interface, counts and rates."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s2st.process.ranks import Ranks

if TYPE_CHECKING:
    from s2st.jobs.rescore.scored_list import ScoredList


class Progress:
    """Receiver of the progress of a job; this base class shows nothing."""

    def start(self, label: str, total: int, done: int = 0) -> None:
        """Start counting.

        Args:
            label: name of the things counted, such as "lists".
            total: their final number.
            done: number that an earlier run finished.
        """

    def update(self, done: int, text: str) -> None:
        """Receive the number finished so far; `text` has the label and the rate."""

    def stop(self, summary: str | None) -> None:
        """Stop counting; `summary` is the final line, None if an error ended the job."""


class LineMeter:
    """Counter of the lines that all ranks of a job have finished.

    Args:
        ranks: this process among the ranks of the job.
        progress: receives the counts; used on rank 0.
    """

    def __init__(self, ranks: Ranks, progress: Progress) -> None:
        self._ranks = ranks
        self._progress = progress
        self._started = time.perf_counter()
        self._before = self._lines = 0

    def start(self, total: int, before: int) -> None:
        """Start counting.

        Args:
            total: lines of the input.
            before: lines that earlier runs finished.
        """
        self._before = self._lines = before
        self._progress.start(self._text(), total, before)

    def update(self, lines: int) -> None:
        """Set the number of finished lines, including those of earlier runs."""
        self._lines = lines
        self._progress.update(lines, self._text())

    def summary(self) -> str:
        """Return the number of lines and the rate as text."""
        earlier = f" ({self._before:,} of them by an earlier run)" if self._before else ""
        return f"{self._lines:,} {self._text()}{earlier}"

    def _text(self) -> str:
        seconds = max(1e-9, time.perf_counter() - self._started)
        rate = (self._lines - self._before) / seconds
        return f"lines by {self._ranks.size} processes, {rate:,.1f} lines/s"


class _ListMeter:
    """Counter of scored n-best lists, and of the positions that shared prefixes saved."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started = time.perf_counter()
        self.lists = 0
        self._hypotheses = self._stepped = self._positions = 0

    def add(self, item: "ScoredList") -> None:
        self.lists += 1
        self._hypotheses += len(item.entries)
        self._stepped += item.rows_stepped
        self._positions += item.positions

    def text(self) -> str:
        seconds = max(1e-9, time.perf_counter() - self._started)
        lists, hypotheses = self.lists / seconds, self._hypotheses / seconds
        return f"{self._label}, {lists:.1f} lists/s, {hypotheses:,.0f} hypotheses/s"

    def summary(self) -> str:
        done = f"{self._hypotheses:,} hypotheses in {self.lists:,} {self.text()}"
        if not self._positions:  # the scores came from the lists
            return done
        return (
            f"{done}; "
            f"{self._stepped:,} of {self._positions:,} positions computed (shared prefixes only "
            "once)"
        )


def watched(
    lists: "Iterator[ScoredList]", label: str, total: int, progress: Progress
) -> "Iterator[ScoredList]":
    """Yield the same lists, and report their number to `progress`.

    Args:
        lists: scored lists.
        label: their name, such as "development lists".
        total: their final number.
        progress: receives the counts.
    """
    meter = _ListMeter(label)
    progress.start(label, total)
    finished = False
    try:
        for item in lists:
            meter.add(item)
            progress.update(meter.lists, meter.text())
            yield item
        finished = True
    finally:
        progress.stop(meter.summary() if finished else None)
