"""Reading of input lines in chunks, for files and for interactive pipes.

A file is read `size` lines at a time. On a pipe or a terminal, a chunk has the lines that have
arrived, without waiting for more, so that line i is translated before line i + 1 is typed.
"""

import os
import select
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from s2st.errors import DataError
from s2st.text.compressed_input import Unpacker
from s2st.text.line_files import MAX_BYTES, LineDecoder, line_too_long, read_lines, standard_input

READ_SIZE = 1 << 16
GRACE = 0.002  # seconds that a chunk waits for further lines of a busy writer


def read_chunks(path: str | Path, size: int, errors: str | None = None) -> Iterator[list[str]]:
    """Yield lists of 1 to `size` lines; `errors` and exceptions as for `read_lines`."""
    if str(path) == "-" and _is_stream():
        yield from _stream_chunks(size, errors)
        return
    lines = read_lines(path, errors)
    while chunk := list(islice(lines, size)):
        yield chunk


def _is_stream() -> bool:
    try:
        return not stat.S_ISREG(os.fstat(standard_input().fileno()).st_mode)
    except (OSError, ValueError):
        return False  # a test's stand-in for standard input


class _Pipe:
    """Standard input, decompressed if necessary, read without waiting longer than asked."""

    def __init__(self) -> None:
        self._descriptor = standard_input().fileno()
        self._unpacker = Unpacker("-")

    def read(self, wait: float | None) -> bytes | None:
        """Return up to READ_SIZE bytes, b"" at the end; None if none arrive in `wait` seconds."""
        while not (data := self._unpacker.read(READ_SIZE)):
            if self._unpacker.ended:
                return b""
            if not select.select([self._descriptor], [], [], wait)[0]:
                return None
            self._unpacker.feed(os.read(self._descriptor, READ_SIZE))
        return data


def _stream_chunks(size: int, errors: str | None) -> Iterator[list[str]]:
    pipe = _Pipe()
    decoder = LineDecoder("-", errors)
    lines: list[bytes] = []
    rest: list[bytes] = []  # pieces of an incomplete line
    waiting = 0  # bytes of these pieces
    ended = False
    while not ended:
        # once there is a line, read only what has already arrived
        data = None
        if len(lines) < size:
            try:
                data = pipe.read(GRACE if lines else None)
            except OSError as error:
                message = f"reading failed: {error}"
                raise DataError(message, "-", decoder.line + len(lines) + 1) from error
        if data is not None:
            ended = not data
            first, newline, more = data.partition(b"\n")
            rest.append(first)
            waiting += len(first)
            if waiting > MAX_BYTES:
                raise line_too_long("-", decoder.line + len(lines) + 1)
            if newline:
                lines.append(b"".join(rest) + b"\n")
                *whole, last = more.split(b"\n")
                lines.extend(line + b"\n" for line in whole)
                rest, waiting = [last], len(last)
            continue
        yield [decoder.decode(line) for line in lines[:size]]
        lines = lines[size:]
    if b"".join(rest):
        lines.append(b"".join(rest))  # the last line has no newline
    while lines:
        yield [decoder.decode(line) for line in lines[:size]]
        lines = lines[size:]
    decoder.warn_replaced()
