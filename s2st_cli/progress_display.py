"""Progress of training and scoring on stderr: a rich bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TYPE_CHECKING

from s2st.jobs.progress import Progress
from s2st.text.control_characters import visible
from s2st.training.observer import Observer, UpdateReport, ValidationReport
from s2st.training.report_text import (
    describe_left,
    describe_update,
    duration,
    update_line,
    validation_lines,
)
from s2st_cli.terminal_output import say

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class LineObserver(Observer):
    """Observer that prints one line for every report."""

    def updated(self, report: UpdateReport) -> None:
        """Print the report."""
        say(update_line(report))

    def validated(self, report: ValidationReport) -> None:
        """Print the validation."""
        for line in validation_lines(report):
            say(line)


class BarObserver(Observer):
    """Rich progress bar with the newest report; validations stay above it as lines."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        one_line = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # takes the remaining width
        self.progress = Progress(
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}", table_column=one_line),
            console=Console(stderr=True),
            expand=True,
        )
        self._task = self.progress.add_task("starting", total=None)
        self._epochs: float | None = None
        self._updates: int | None = None

    def started(self, update: int, epochs: float | None, updates: int | None) -> None:
        """Store the limits of the training, in epochs and updates."""
        self._epochs, self._updates = epochs, updates

    def updated(self, report: UpdateReport) -> None:
        """Move the bar towards the limit that is nearer."""
        shares = [0.0]
        if self._epochs:
            shares.append(report.epoch / self._epochs)
        if self._updates:
            shares.append(report.update / self._updates)
        left = describe_left(report)  # first, because a narrow terminal cuts off the end
        text = (f"{left}; " if left else "") + describe_update(report)
        self.progress.update(self._task, total=1.0, completed=max(shares), description=text)

    def validated(self, report: ValidationReport) -> None:
        """Print the validation above the bar."""
        for line in validation_lines(report):
            self.progress.console.print(visible(line), highlight=False, markup=False)


class JobProgress(Progress):
    """Progress of a scoring job: a bar on a terminal, a line every 30 seconds elsewhere."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None

    def start(self, label: str, total: int, done: int = 0) -> None:
        """Show the bar if stderr is a terminal."""
        self.stop(None)
        self._total, self._before = total, done
        self._started = self._reported = time.perf_counter()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(label, total=total, completed=done)

    def update(self, done: int, text: str) -> None:
        """Move the bar, or prints a line if 30 seconds have passed."""
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif now - self._reported > 30 and done > self._before:
            self._reported = now
            left = (now - self._started) / (done - self._before) * (self._total - done)
            text = f"{done:,} of {self._total:,} {text}, {duration(left)} left"
            say(text)

    def stop(self, summary: str | None) -> None:
        """Remove the bar and print the summary."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if summary is not None:
            say(summary)
