"""Training progress on stderr: a rich bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from s2st.ranks import Ranks
from s2st.training.progress import Observer, UpdateReport, ValidationReport
from s2st_cli.terminal import say

if TYPE_CHECKING:
    from rich.progress import Progress


def perplexity(nll: float) -> float:
    """exp of nats a token, infinite instead of an overflow."""
    return math.exp(nll) if nll < 700 else math.inf


def duration(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def describe_update(report: UpdateReport) -> str:
    """One line of figures."""
    speed = f"{report.target_words_per_second:,.0f} words/s"
    if report.source_words_per_second is not None:
        target = report.target_words_per_second
        speed = f"{report.source_words_per_second:,.0f} source + {target:,.0f} target words/s"
    return (
        f"epoch {report.epoch:.2f}, update {report.update}: loss {report.loss:.3f}, "
        f"ppl {perplexity(report.nll):.2f}, lr {report.learning_rate:.3g}, "
        f"gnorm {report.gradient_norm:.2f}, {speed}"
    )


def describe_left(report: UpdateReport) -> str:
    """Time left, and until which end that is; empty where it is unknown."""
    if report.seconds_left is None:
        return ""
    most = "at most " if report.may_stop_early else ""
    return f"{most}{duration(report.seconds_left)} left to {report.end}"


def describe_validation(report: ValidationReport) -> str:
    """One line of a validation."""
    mark = " (best)" if report.best else ""
    return (
        f"epoch {report.epoch:.2f}, update {report.update}: valid ppl "
        f"{perplexity(report.nll):.2f}{mark}, train ppl {perplexity(report.train_nll):.2f}"
    )


class LineObserver(Observer):
    """A line for every report."""

    def updated(self, report: UpdateReport) -> None:
        """Prints the figures."""
        left = describe_left(report)
        text = describe_update(report) + (f", {left}" if left else "")
        say(text)

    def validated(self, report: ValidationReport) -> None:
        """Prints the validation."""
        say(describe_validation(report))


class BarObserver(Observer):
    """A rich progress bar whose text is the newest report; validations stay as lines."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        one_line = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # what the others leave
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
        """Notes the ends of the bar."""
        self._epochs, self._updates = epochs, updates

    def updated(self, report: UpdateReport) -> None:
        """Moves the bar to whichever end is nearer."""
        shares = [0.0]
        if self._epochs:
            shares.append(report.epoch / self._epochs)
        if self._updates:
            shares.append(report.update / self._updates)
        left = describe_left(report)  # first: a narrow terminal cuts the end off
        text = (f"{left}; " if left else "") + describe_update(report)
        self.progress.update(self._task, total=1.0, completed=max(shares), description=text)

    def validated(self, report: ValidationReport) -> None:
        """Prints the validation above the bar."""
        self.progress.console.print(describe_validation(report), highlight=False)


class ListProgress:
    """Progress over n-best lists: a bar on a terminal, a line every half minute elsewhere.

    Args:
        label: what is counted.
        total: how many there will be.
    """

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._lists = self._hypotheses = self._stepped = self._positions = 0
        self._started = self._told = time.perf_counter()
        self._bar: object = None

    def __enter__(self) -> "ListProgress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._rich = Progress(console=Console(stderr=True))
            self._rich.start()
            self._bar = self._task = self._rich.add_task(self._label, total=self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._rich.stop()
        if error is None:
            say(self.summary())

    def add(self, hypotheses: int, stepped: int, positions: int) -> None:
        """One list was done."""
        self._lists += 1
        self._hypotheses += hypotheses
        self._stepped += stepped
        self._positions += positions
        now = time.perf_counter()
        if self._bar is not None:
            self._rich.update(self._task, completed=self._lists, description=self._rate())
        elif now - self._told > 30:
            self._told = now
            left = (now - self._started) / self._lists * (self._total - self._lists)
            text = f"{self._lists:,} of {self._total:,} {self._rate()}, {duration(left)} left"
            say(text)

    def summary(self) -> str:
        """What was done, at which rate, and what shared prefixes saved."""
        done = f"{self._hypotheses:,} hypotheses in {self._lists:,} {self._rate()}"
        if not self._positions:  # the lists had their scores already
            return done
        return (
            f"{done}; "
            f"{self._stepped:,} of {self._positions:,} positions computed (shared prefixes once)"
        )

    def _rate(self) -> str:
        seconds = max(1e-9, time.perf_counter() - self._started)
        lists, hypotheses = self._lists / seconds, self._hypotheses / seconds
        return f"{self._label}, {lists:.1f} lists/s, {hypotheses:,.0f} hypotheses/s"


class DealtProgress:
    """Progress of all ranks together: a bar on a terminal, a line every half minute elsewhere.

    Args:
        own: this rank; only the first one shows anything.
        total: lines of the input.
    """

    def __init__(self, own: Ranks, total: int) -> None:
        self._own = own
        self._total = total
        self._lines = 0
        self._before: int | None = None
        self._started = self._told = time.perf_counter()
        self._bar: Progress | None = None

    def __enter__(self) -> "DealtProgress":
        if self._own.first and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self._text(), total=self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if error is None and self._own.first:
            kept = f" ({self._before:,} of them before)" if self._before else ""
            say(f"{self._lines:,} {self._text()}{kept}")

    def tell(self, lines: int) -> None:
        """So many lines were answered by all ranks, now and in runs that were stopped."""
        if self._before is None:
            self._before = lines
        self._lines = lines
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, completed=lines, description=self._text())
        elif now - self._told > 30 and lines > self._before:
            self._told = now
            left = (now - self._started) / (lines - self._before) * (self._total - lines)
            text = f"{lines:,} of {self._total:,} {self._text()}, {duration(left)} left"
            say(text)

    def _text(self) -> str:
        seconds = max(1e-9, time.perf_counter() - self._started)
        rate = (self._lines - (self._before or 0)) / seconds
        return f"lines by {self._own.size} processes, {rate:,.1f} lines/s"
