"""`train.log` of a save folder: the messages of all runs of a training, each with its time."""

import logging
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from s2st.errors import OutputError
from s2st.process.appended_files import AppendedFile
from s2st.text.control_characters import visible
from s2st.training.observer import Observer, UpdateReport, ValidationReport
from s2st.training.report_text import update_line, validation_lines

NAME = "train.log"
# a time; or what a power loss left of the first line
_CONTENT = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC |[\d: -]{0,19}\0*\Z")
log = logging.getLogger("s2st")


class TrainingLog(Observer):
    """Writes `train.log`: reports as they are on the terminal, and the messages of s2st's logger.

    Messages before `started` are kept until then, so that a run that is refused writes nothing.
    If the file is not s2st's own, a warning says so, and there is no log.

    Args:
        folder: the save folder.
        check: see `AppendedFile`.
    """

    def __init__(self, folder: Path, check: Callable[[], None]) -> None:
        self._check = check
        self._path = folder / NAME
        self._file: AppendedFile | None = None
        self._waiting: list[str] | None = []  # None once the file is open or given up
        self._handler = _Handler(self)
        log.addHandler(self._handler)

    def started(self, update: int, epochs: float | None, updates: int | None) -> None:
        """Open the file and write the messages so far."""
        waiting, self._waiting = self._waiting or [], None
        try:
            self._file = AppendedFile(
                self._path, _CONTENT, "log", "use another --save-dir", self._check
            )
        except OutputError as error:
            log.warning("%s; this run keeps no %s", error, NAME)
            return
        if self._file.same_as(2):  # the user redirects stderr into this file
            self._file.close()
            self._file = None
            return
        for text in waiting:
            self._write(text)

    def updated(self, report: UpdateReport) -> None:
        """Write the line of the report."""
        self.note(update_line(report))

    def validated(self, report: ValidationReport) -> None:
        """Write the lines of the validation and its samples."""
        for line in validation_lines(report):
            self.note(line)

    def saved(self, name: str) -> None:
        """Write the name of the checkpoint."""
        self.note(f"saved {name}")

    def note(self, text: str) -> None:
        """Write a message with the time; control characters are escaped."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        line = f"{now} {visible(text)}\n"
        if self._waiting is not None:
            self._waiting.append(line)
        else:
            self._write(line)

    def held(self) -> bool:
        """Whether this process still holds the save folder."""
        try:
            self._check()
        except OutputError:
            return False
        return True

    def _write(self, line: str) -> None:
        if self._file is not None:
            self._file.append(line)

    def sync(self) -> None:
        """Make all lines durable."""
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        """Stop listening to the logger, and close the file."""
        log.removeHandler(self._handler)
        if self._file is not None:
            self._file.close()


class _Handler(logging.Handler):
    """Passes the records of s2st's logger on; each warning once."""

    def __init__(self, target: TrainingLog) -> None:
        super().__init__(logging.INFO)
        self._target = target
        self._warned: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if not self._target.held():  # the next report or save raises the error
            return
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if text in self._warned:
                return
            self._warned.add(text)
            text = f"warning: {text}"
        self._target.note(text)
