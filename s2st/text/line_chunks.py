"""Lines in chunks for decoding: as many as are there, without ever waiting for more.

A file is read `size` lines at a time. On a pipe or a terminal a chunk holds the lines that have
arrived, so that line i is answered before line i + 1 is typed.
"""

import os
import select
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from s2st.errors import DataError
from s2st.text.compressed_input import Unpacker
from s2st.text.line_files import MOST_BYTES, LineDecoder, read_lines, standard_input, too_long

READ_SIZE = 1 << 16
GRACE = 0.002  # seconds that a chunk waits for a writer that is in the middle of its lines


def read_chunks(path: str | Path, size: int, errors: str = "strict") -> Iterator[list[str]]:
    """Yields lists of 1 to `size` lines; errors as `read_lines`."""
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
    """Standard input, unpacked where it is compressed, without ever waiting for more than asked."""

    def __init__(self) -> None:
        self._descriptor = standard_input().fileno()
        self._unpacker = Unpacker("-")

    def read(self, wait: float | None) -> bytes | None:
        """Up to READ_SIZE bytes, b"" at the end; None where none come within `wait` seconds."""
        while not (data := self._unpacker.take(READ_SIZE)):
            if self._unpacker.ended:
                return b""
            if not select.select([self._descriptor], [], [], wait)[0]:
                return None
            self._unpacker.give(os.read(self._descriptor, READ_SIZE))
        return data


def _stream_chunks(size: int, errors: str) -> Iterator[list[str]]:
    pipe = _Pipe()
    decoder = LineDecoder("-", errors)
    lines: list[bytes] = []
    rest: list[bytes] = []  # pieces of a line that has not ended yet,
    waiting = 0  # and their bytes
    ended = False
    while not ended:
        # with lines in hand, take only what is there already
        data = None
        if len(lines) < size:
            try:
                data = pipe.read(GRACE if lines else None)
            except OSError as error:
                message = f"cannot be read further: {error}"
                raise DataError(message, "-", decoder.line + len(lines) + 1) from error
        if data is not None:
            ended = not data
            first, newline, more = data.partition(b"\n")
            rest.append(first)
            waiting += len(first)
            if waiting > MOST_BYTES:
                raise too_long("-", decoder.line + len(lines) + 1)
            if newline:
                lines.append(b"".join(rest) + b"\n")
                *whole, last = more.split(b"\n")
                lines.extend(line + b"\n" for line in whole)
                rest, waiting = [last], len(last)
            continue
        yield [decoder.decode(line) for line in lines[:size]]
        lines = lines[size:]
    if b"".join(rest):
        lines.append(b"".join(rest))  # the last line, without a newline
    while lines:
        yield [decoder.decode(line) for line in lines[:size]]
        lines = lines[size:]
    decoder.tell_replaced()
