"""Event files of a training for TensorBoard (extra s2st[tensorboard]), imported on use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2st.errors import OutputError, UsageError, reason
from s2st.process import durable_files
from s2st.training.metrics_file import update_record, validation_record
from s2st.training.observer import Observer, UpdateReport, ValidationReport

NAME = "tensorboard"
_SKIPPED = ("event", "update", "best", "metrics")


def require_tensorboard() -> None:
    """Raise UsageError if the package tensorboard is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        message = "--tensorboard needs a package: run pip install 's2st[tensorboard]'"
        raise UsageError(message) from error


class TensorBoardEvents(Observer):
    """Writes the numbers of every report as scalars `train/...` and `valid/...`.

    Each process writes its own event file. A resumed run tells TensorBoard to forget the events
    after its checkpoint.

    Args:
        folder: the save folder; the files are in its subfolder `tensorboard`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / NAME
        self._writer: Any = None

    def continues(self, update: int, reports: int) -> None:
        """Open a new event file, in which earlier events after `update` do not count."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        try:
            self._writer = SummaryWriter(str(self._folder), purge_step=update + 1)
        except OSError as error:
            folder = durable_files.final_path(self._folder)
            raise OutputError(f"{folder}: cannot be written: {reason(error)}") from error

    def updated(self, report: UpdateReport) -> None:
        """Write the numbers of the report."""
        self._write("train", report.update, update_record(report))

    def validated(self, report: ValidationReport) -> None:
        """Write the numbers of the validation."""
        record = validation_record(report)
        self._write("valid", report.update, {**record, **record["metrics"]})

    def _write(self, group: str, update: int, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            if name not in _SKIPPED and value is not None:
                self._writer.add_scalar(f"{group}/{name}", value, update)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
