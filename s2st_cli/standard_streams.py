"""Encoding of stdout and stderr, and writes that wait for a blocked reader."""

import contextlib
import io
import sys
from typing import BinaryIO, TextIO, cast

from s2st.process.pipe_output import PipeOutput, may_block


def guard_streams() -> None:
    """Let a signal interrupt a write to stdout or stderr that waits for its reader."""
    sys.stdout = _guarded(sys.stdout, breaks=True)
    sys.stderr = _guarded(sys.stderr, breaks=False)


def prepare_streams() -> None:
    """Set the encodings, independently of the environment.

    stdout is UTF-8, like all input, even if the locale or PYTHONIOENCODING is ASCII. File names
    that are not UTF-8 are printed unchanged. stderr keeps the encoding of the terminal and escapes
    characters that this encoding lacks.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def _guarded(stream: TextIO, breaks: bool) -> TextIO:
    """The stream; through PipeOutput if a write to it can block."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    with contextlib.suppress(OSError, ValueError):
        if may_block(stream.fileno()):
            stream.flush()
            return io.TextIOWrapper(
                cast(BinaryIO, PipeOutput(stream.fileno(), breaks=breaks)),
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
    return stream
