"""Progress of the scoring jobs: what a job reports, and the rates that it reports with it."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s2st.process.ranks import Ranks

if TYPE_CHECKING:
    from s2st.jobs.rescore.scored_list import ScoredList


class Progress:
    """Receives the progress of a job; this one shows nothing."""

    def start(self, label: str, total: int, done: int = 0) -> None:
        """Begins to count.

        Args:
            label: what is counted, such as "lists".
            total: how many there will be.
            done: how many an earlier run finished.
        """

    def update(self, done: int, text: str) -> None:
        """So many are finished; `text` is their name and rate."""

    def stop(self, summary: str | None) -> None:
        """Ends; `summary` says what was done, None where an error ended the job."""


class LineMeter:
    """Lines that all ranks of a job have answered.

    Args:
        ranks: the processes of the job.
        progress: of rank 0.
    """

    def __init__(self, ranks: Ranks, progress: Progress) -> None:
        self._ranks = ranks
        self._progress = progress
        self._started = time.perf_counter()
        self._before = self._lines = 0

    def start(self, total: int, before: int) -> None:
        """Begins to count.

        Args:
            total: lines of the input.
            before: lines that earlier runs answered.
        """
        self._before = self._lines = before
        self._progress.start(self._text(), total, before)

    def update(self, lines: int) -> None:
        """So many lines are answered, those of earlier runs among them."""
        self._lines = lines
        self._progress.update(lines, self._text())

    def summary(self) -> str:
        """What was done, and at which rate."""
        kept = f" ({self._before:,} of them before)" if self._before else ""
        return f"{self._lines:,} {self._text()}{kept}"

    def _text(self) -> str:
        seconds = max(1e-9, time.perf_counter() - self._started)
        rate = (self._lines - self._before) / seconds
        return f"lines by {self._ranks.size} processes, {rate:,.1f} lines/s"


class _ListMeter:
    """n-best lists that were scored, and how much work shared prefixes saved."""

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
        if not self._positions:  # the scores were in the lists already
            return done
        return (
            f"{done}; "
            f"{self._stepped:,} of {self._positions:,} positions computed (shared prefixes once)"
        )


def watched(
    lists: "Iterator[ScoredList]", label: str, total: int, progress: Progress
) -> "Iterator[ScoredList]":
    """Yields the same lists, and counts them.

    Args:
        lists: scored lists.
        label: their name, such as "development lists".
        total: how many there will be.
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
