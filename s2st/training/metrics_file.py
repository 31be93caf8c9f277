"""`metrics.jsonl` of a save folder: one JSON object for each report of updates or validation.

A checkpoint keeps the number of reports so far. The lines of these reports are durable before the
checkpoint is. A resumed run removes the lines after its checkpoint and writes them again. So the
file of a run that was killed equals that of an uninterrupted run, except for the fields in
MEASURED.
"""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s2st.options.option_fields import load_json
from s2st.process.appended_files import AppendedFile, begins_with
from s2st.training.observer import Observer, UpdateReport, ValidationReport

NAME = "metrics.jsonl"
# speed and memory, which differ from run to run
MEASURED = ("source_words_per_second", "target_words_per_second", "memory_bytes")
log = logging.getLogger("s2st")


def update_record(report: UpdateReport) -> dict[str, Any]:
    """Return the record of a report of updates as JSON values."""
    return {
        "event": "update",
        "update": report.update,
        "epoch": report.epoch,
        "loss": report.loss,
        "nll": report.nll,
        "perplexity": perplexity(report.nll),
        "learning_rate": report.learning_rate,
        "gradient_norm": report.gradient_norm,
        "source_words_per_second": report.source_words_per_second,
        "target_words_per_second": report.target_words_per_second,
        "memory_bytes": report.memory,
    }


def validation_record(report: ValidationReport) -> dict[str, Any]:
    """Return the record of a validation as JSON values."""
    record = {
        "event": "validation",
        "update": report.update,
        "epoch": report.epoch,
        "nll": report.nll,
        "perplexity": perplexity(report.nll),
        "train_nll": report.train_nll,
        "train_perplexity": perplexity(report.train_nll),
        "learning_rate": report.learning_rate,
        "best": report.best,
        "metrics": dict(report.metrics),
    }
    if report.corpora:
        record["corpora"] = {name: perplexity(nll) for name, nll in report.corpora.items()}
    return record


def perplexity(nll: float) -> float | None:
    """Return exp(nats per token), None beyond the range of a float, which JSON cannot write."""
    try:
        value = math.exp(nll)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


class MetricsFile(Observer):
    """Writes `metrics.jsonl`.

    Args:
        folder: the save folder.
        check: see `AppendedFile`.

    Raises:
        OutputError: (its methods) the file cannot be written, or s2st did not write it.
    """

    def __init__(self, folder: Path, check: Callable[[], None]) -> None:
        self._check = check
        self._path = folder / NAME
        self._file: AppendedFile | None = None

    def continues(self, update: int, reports: int) -> None:
        """Remove the lines after the checkpoint; open the file first if necessary."""
        if self._file is None:
            self._file = AppendedFile(
                self._path, begins_with(b'{"event": "'), "metrics", "use another --save-dir",
                self._check,
            )  # fmt: skip
        size = kept = 0
        for line in self._file.lines()[:reports]:
            if not _is_report(line, update):
                break
            size += len(line) + 1
            kept += 1
        if kept < reports:
            log.info("%s lacks %d of %d earlier reports", NAME, reports - kept, reports)
        self._file.cut(size)

    def updated(self, report: UpdateReport) -> None:
        """Append a line."""
        self._append(update_record(report))

    def validated(self, report: ValidationReport) -> None:
        """Append a line."""
        self._append(validation_record(report))

    def _append(self, record: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.append(json.dumps(record, allow_nan=False) + "\n")

    def saving(self) -> None:
        """Make all lines durable."""
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _is_report(line: bytes, update: int) -> bool:
    """Whether a line is a whole report of at most that update."""
    try:
        record = load_json(line)
    except ValueError:
        return False
    return isinstance(record, dict) and isinstance(n := record.get("update"), int) and n <= update
