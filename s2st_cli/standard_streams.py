"""Standard output and error as all commands use them: their encoding, and blocked readers."""

import contextlib
import io
import sys
from typing import BinaryIO, TextIO, cast

from s2st.process.pipe_output import PipeOutput, may_block


def guard_streams() -> None:
    """Lets a signal end a write that waits for the reader of standard output or error."""
    sys.stdout = _guarded(sys.stdout, breaks=True)
    sys.stderr = _guarded(sys.stderr, breaks=False)


def prepare_streams() -> None:
    """Sets what all commands rely on, whatever the environment says.

    Data is UTF-8, also where the locale or PYTHONIOENCODING is ASCII: so is the input. File names
    that are no UTF-8 are printed as they are. A message is printed in the encoding of the terminal,
    with escapes for what that lacks.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def _guarded(stream: TextIO, breaks: bool) -> TextIO:
    """The stream, over PipeOutput where a write to it can wait."""
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
