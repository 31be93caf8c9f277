"""All that reaches the terminal: messages on stderr, tables and help on stdout.

Text comes from files, plugins and other libraries. What a terminal would obey instead of showing
(escape sequences, reversed writing, line ends within a message) is shown as an escape. Data such as
translations do not pass here: they are written as they are, by `s2st.text.line_files.open_output`.
"""

import contextlib
import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, TextIO, cast

from s2st.errors import OutputError, UsageError
from s2st.jobs.report_lines import ReportLine
from s2st.process.ranks import Ranks, ranks

# C0 and C1 controls, DEL, line separators, controls of writing direction, and lone surrogates
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str, keep: str = "") -> str:
    """The text with what a terminal would obey as `\\xNN` or `\\uNNNN`, but for characters to keep.

    Bytes of a file name that are not UTF-8 are shown as `\\xNN`, too.
    """

    def escape(match: re.Match[str]) -> str:
        number = ord(match[0])
        if match[0] in keep:
            return match[0]
        if 0xDC80 <= number <= 0xDCFF:
            number -= 0xDC00
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"

    return _OBEYED.sub(escape, text)


def own_ranks() -> Ranks:
    """This process among torchrun's; alone where the environment is wrong, which others report."""
    try:
        return ranks()
    except UsageError:
        return Ranks()


def say(text: str) -> None:
    """Writes one line to stderr, after the program's name and, if not the first, the rank's.

    A stderr that is gone is no reason to stop the work.
    """
    own = own_ranks()
    name = "s2st" if own.first else f"s2st: rank {own.rank}"
    narrate(f"{name}: {visible(text)}")


def narrate(text: str) -> None:
    """Writes lines to stderr as they are laid out, without the program's name."""
    if sys.stderr is None:  # print(file=None) would write to stdout
        return
    with contextlib.suppress(OSError, ValueError):
        print(visible(text, keep="\n"), file=sys.stderr, flush=True)


def show(*fields: object) -> None:
    """Writes a line to stdout for people to read: fields with tabs between."""
    _write(visible("\t".join(map(str, fields)), keep="\t"))


def show_page(text: str) -> None:
    """Writes lines to stdout as they are laid out."""
    _write(visible(text, keep="\n\t"))


def show_json(record: Any) -> None:
    """Writes a JSON value to stdout, on one line; escapes of JSON keep all of its text."""
    text = json.dumps(record, ensure_ascii=False)
    _write(_OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def show_lines(lines: Iterable[ReportLine]) -> None:
    """Writes a job's report to stdout: text as lines, records as JSON lines."""
    for line in lines:
        if isinstance(line, str):
            show(line)
        else:
            show_json(line)


def _write(text: str) -> None:
    write_bytes(text.encode() + b"\n")


def write_bytes(data: bytes) -> None:
    """Writes data to stdout as they are.

    Raises:
        OutputError: they cannot be written. A closed pipe stays BrokenPipeError.
    """
    with _naming_stdout():
        sys.stdout.buffer.write(data)
        if sys.stdout.isatty():
            sys.stdout.flush()


def flush_stdout() -> None:
    """What was written reaches the file or pipe; raises as `write_bytes`."""
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
    """The stdout that rich may draw on, which brings escapes of its own."""
    out = sys.stdout
    return out.real if isinstance(out, DataOutput) else out


class _Closed(io.RawIOBase):
    """Stdout where the program was started without one (`>&-`)."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(errno.EBADF, "it is closed")


class DataOutput(io.TextIOBase):
    """Stdout while the program runs: `buffer` is the real one, for data; text goes to stderr.

    So what plugins and libraries print never gets between the data.
    """

    def __init__(self, real: TextIO) -> None:
        self.real = real
        self.buffer: BinaryIO = real.buffer
        self._made: io.BufferedWriter | None = None
        if isinstance(real.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: writes may be partial
            self._made = io.BufferedWriter(real.buffer)
            self.buffer = cast(BinaryIO, self._made)

    def release(self) -> None:
        """The real one is nobody's but its owner's again."""
        if self._made is not None:
            with contextlib.suppress(OSError, ValueError):
                self._made.detach()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the real one."""
        return self.real.encoding

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Shows what nobody wrote as data."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(visible(text, keep="\n\t"))
        return len(text)

    def flush(self) -> None:
        """Data reach the file or pipe."""
        self.buffer.flush()

    def fileno(self) -> int:
        """That of the real one."""
        return self.real.fileno()

    def isatty(self) -> bool:
        """Whether data are read by a person."""
        return self.real.isatty()


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Streams that were closed get a stand-in; stdout is for data alone."""
    _occupy()
    before = sys.stdout, sys.stderr
    if sys.stderr is None:  # what others print would go to stdout
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
    """Numbers 0 to 2 are taken, so that no file that is opened is taken for a standard stream."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def drop_stdout() -> None:
    """Keeps the interpreter's own flush at exit from failing on a stdout that is gone."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def flush_or_drop_stdout() -> None:
    """Writes out what stdout still holds, if that is possible."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_stdout()
