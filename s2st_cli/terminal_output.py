"""Output that people read: messages on stderr, tables and help on stdout.

The text may come from files, plugins and other libraries. This module escapes the characters that
control a terminal (escape sequences, writing direction, line ends within a message). Data such as
translations bypass it: `s2st.text.line_files.open_output` writes them unchanged.
"""

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, TextIO, cast

from s2st.errors import OutputError, UsageError
from s2st.jobs.report_types import ReportLine
from s2st.process.ranks import Ranks, read_ranks
from s2st.text.control_characters import CONTROLS, visible


def own_ranks() -> Ranks:
    """This process's rank; a single rank if the environment is invalid, which jobs report."""
    try:
        return read_ranks()
    except UsageError:
        return Ranks()


def say(text: str) -> None:
    """Write one line to stderr after the program's name and, except on rank 0, the rank.

    A closed stderr does not stop the job.
    """
    job_ranks = own_ranks()
    name = "s2st" if job_ranks.first else f"s2st: rank {job_ranks.rank}"
    narrate(f"{name}: {visible(text)}")


def narrate(text: str) -> None:
    """Write lines to stderr without the program's name, keeping line ends."""
    if sys.stderr is None:  # print(file=None) would write to stdout
        return
    with contextlib.suppress(OSError, ValueError):
        print(visible(text, keep="\n"), file=sys.stderr, flush=True)


def show(*fields: object) -> None:
    """Write one line to stdout: the fields, separated by tabs."""
    _write(visible("\t".join(map(str, fields)), keep="\t"))


def show_page(text: str) -> None:
    """Write lines to stdout, keeping line ends and tabs."""
    _write(visible(text, keep="\n\t"))


def show_json(record: Any) -> None:
    """Write a JSON value to stdout on one line; JSON escapes replace control characters."""
    text = json.dumps(record, ensure_ascii=False)
    _write(CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def show_lines(lines: Iterable[ReportLine]) -> None:
    """Write a job's report to stdout: text as lines, records as JSON lines."""
    for line in lines:
        if isinstance(line, str):
            show(line)
        else:
            show_json(line)


def _write(text: str) -> None:
    write_bytes(text.encode() + b"\n")


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout unchanged.

    Raises:
        OutputError: stdout cannot be written.
        BrokenPipeError: the reader closed the pipe.
    """
    with _naming_stdout():
        sys.stdout.buffer.write(data)
        if sys.stdout.isatty():
            sys.stdout.flush()


def flush_stdout() -> None:
    """Flush stdout to the file or pipe; raise as `write_bytes`."""
    with _naming_stdout():
        sys.stdout.flush()


@contextlib.contextmanager
def _naming_stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"standard output: cannot be written: {reason}") from error


def screen() -> TextIO:
    """The real stdout for rich, which writes its own escape sequences."""
    out = sys.stdout
    return out.real if isinstance(out, DataOutput) else out


class _Closed(io.RawIOBase):
    """Stand-in for stdout if the program starts without one (`>&-`)."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(errno.EBADF, "it is closed")


class DataOutput(io.TextIOBase):
    """Replacement of `sys.stdout` while the program runs: bytes go to stdout, text to stderr.

    s2st writes its data to `buffer`, the real stdout. What plugins and libraries print goes to
    stderr, so it never mixes with the data.
    """

    def __init__(self, real: TextIO) -> None:
        self.real = real
        self.buffer: BinaryIO = real.buffer
        self._made: io.BufferedWriter | None = None
        if isinstance(real.buffer, io.RawIOBase):  # PYTHONUNBUFFERED; its writes may be partial
            self._made = io.BufferedWriter(real.buffer)
            self.buffer = cast(BinaryIO, self._made)

    def release(self) -> None:
        """Detach this object from the real stdout."""
        if self._made is not None:
            with contextlib.suppress(OSError, ValueError):
                self._made.detach()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the real stdout."""
        return self.real.encoding

    def writable(self) -> bool:
        """Always true."""
        return True

    def write(self, text: str) -> int:
        """Write text that is not data to stderr."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(visible(text, keep="\n\t"))
        return len(text)

    def flush(self) -> None:
        """Flush the data to the file or pipe."""
        self.buffer.flush()

    def fileno(self) -> int:
        """The file descriptor of the real stdout."""
        return self.real.fileno()

    def isatty(self) -> bool:
        """Whether the real stdout is a terminal."""
        return self.real.isatty()


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replace closed streams and reserve stdout for data until the context ends."""
    _occupy()
    before = sys.stdout, sys.stderr
    if sys.stderr is None:  # print(file=None) would write to stdout
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    real = sys.stdout
    if real is None:
        raw = cast(io.RawIOBase, _Closed())
        real = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8")
    out = sys.stdout = DataOutput(real)
    try:
        yield
    finally:
        out.release()
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open file descriptors 0 to 2 if they are closed, so that no data file gets one of them."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def drop_stdout() -> None:
    """Redirect stdout to /dev/null, so that the flush at exit does not fail on a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def flush_or_drop_stdout() -> None:
    """Flush stdout if possible; otherwise drop the rest of its data."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_stdout()
