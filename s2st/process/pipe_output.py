"""Interruptible output to a pipe, terminal or socket whose reader may stop reading.

A blocked write would hang for ever, since `stop_signals.held` defers signals during a write. So
this module waits for room first and writes only as many bytes as fit. If a signal arrives and the
reader takes nothing for GRACE seconds, the output is given up.
"""

import io
import os
import select
import stat
import time
from pathlib import Path
from typing import BinaryIO, cast

from s2st.process import stop_signals

GRACE = 1.0  # seconds in which a slow reader still gets the rest of a line
STEP = 100  # milliseconds between checks for a signal
ROOM = 8192  # bytes that are buffered before a write
PIECE = getattr(select, "PIPE_BUF", 512)  # bytes that fit into a pipe that poll calls writable
TERMINAL_PIECE = 256  # the same for a terminal


class PipeOutput(io.BufferedIOBase):
    """A buffered stream over a blocking file descriptor.

    Args:
        descriptor: the open file.
        breaks: whether giving up raises Stopped. If not, the remaining bytes are dropped; used for
            messages, whose loss must not end the work.
        owned: whether closing the stream closes the descriptor.
    """

    def __init__(self, descriptor: int, *, breaks: bool = True, owned: bool = False) -> None:
        self._descriptor = descriptor
        self._breaks = breaks
        self._owned = owned
        self._pending = bytearray()
        self._given_up = False
        self._piece = TERMINAL_PIECE if os.isatty(descriptor) else PIECE
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def write(self, data: object) -> int:
        """Buffer the bytes; write the buffer when it is full.

        Raises:
            Stopped: a signal arrived and the reader takes nothing.
            BrokenPipeError: the reader has closed the pipe.
        """
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._pending += view
        if len(self._pending) >= ROOM:
            self.flush()
        return len(view)

    def flush(self) -> None:
        """Write the buffer, at most one piece at a time; raises as `write`."""
        while self._pending:
            if not self._wait():
                self._pending.clear()
                return
            before = stop_signals.requested()
            with stop_signals.noted():  # written bytes leave the buffer before any stop
                written = os.write(self._descriptor, self._pending[: self._piece])
                del self._pending[:written]
            if not before:
                stop_signals.check_unless_held()

    def _wait(self) -> bool:
        """Wait for room; return False if the output was given up."""
        deadline: float | None = None
        while not self._given_up:
            if self._room.poll(STEP):
                return True
            if not stop_signals.requested():
                continue
            now = time.monotonic()
            deadline = now + GRACE if deadline is None else deadline
            if now >= deadline:
                self._given_up = True
                if self._breaks:
                    stop_signals.stop()
        return False

    def writable(self) -> bool:
        """Return True: the stream is for output."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether the output is a terminal."""
        return os.isatty(self._descriptor)

    def close(self) -> None:
        """Flush, and close the descriptor if the stream owns it."""
        if self.closed:
            return
        try:
            super().close()
        finally:
            if self._owned:
                os.close(self._descriptor)


def may_block(descriptor: int) -> bool:
    """Whether a write can wait for a reader: true for pipes, terminals and sockets."""
    if not hasattr(select, "poll"):
        return False
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


def open_to_write(path: str | Path) -> BinaryIO:
    """Open a file or pipe for writing from its start; use PipeOutput if a write can wait."""
    stream = open(path, "wb", buffering=0)  # noqa: SIM115 - closed with the returned stream
    if not may_block(stream.fileno()):
        return io.BufferedWriter(stream)
    descriptor = os.dup(stream.fileno())
    stream.close()
    return cast(BinaryIO, PipeOutput(descriptor, owned=True))
