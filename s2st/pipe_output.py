"""Output to a pipe, terminal or socket whose reader may stop reading: a signal ends that wait.

A blocked write would hold the program for ever, and `interrupt.held` would keep the signal out of
it. So the wait for room is not part of the write: bytes are given only where there is room for
them, and a signal that came is heeded where the reader takes nothing for GRACE seconds.
"""

import io
import os
import select
import stat
import time
from pathlib import Path
from typing import BinaryIO, cast

from s2st import interrupt

GRACE = 1.0  # seconds: a reader that is merely slow gets the line that was begun
STEP = 100  # milliseconds between looks at whether a signal came
ROOM = 8192  # bytes that are collected before they are written
PIECE = getattr(select, "PIPE_BUF", 512)  # bytes that a pipe takes at once where it takes any
TERMINAL_PIECE = 256  # a terminal's


class PipeOutput(io.BufferedIOBase):
    """A buffered stream over a file descriptor that blocks.

    Args:
        descriptor: is closed with the stream where `owned`.
        breaks: whether a signal raises Stopped out of a held write that waits. Otherwise what is
            left is dropped: of a stream for messages, whose loss must not end the work.
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
        """Takes the bytes, and writes what is collected if that is much.

        Raises:
            Stopped: a signal came, and the reader takes nothing.
            BrokenPipeError: the reader is gone.
        """
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._pending += view
        if len(self._pending) >= ROOM:
            self.flush()
        return len(view)

    def flush(self) -> None:
        """Writes what is collected, as much at a time as there is room for; raises as `write`."""
        while self._pending:
            if not self._wait():
                self._pending.clear()
                return
            before = interrupt.requested()
            with interrupt.noted():  # what was written is forgotten, whatever comes
                written = os.write(self._descriptor, self._pending[: self._piece])
                del self._pending[:written]
            if not before:
                interrupt.check_unless_held()

    def _wait(self) -> bool:
        """Waits for room; False where the reader was given up."""
        until: float | None = None
        while not self._given_up:
            if self._room.poll(STEP):
                return True
            if not interrupt.requested():
                continue
            now = time.monotonic()
            until = now + GRACE if until is None else until
            if now >= until:
                self._given_up = True
                if self._breaks:
                    interrupt.stop()
        return False

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def close(self) -> None:
        """Flushes, and closes the descriptor too, if that is owned."""
        if self.closed:
            return
        try:
            super().close()
        finally:
            if self._owned:
                os.close(self._descriptor)


def may_block(descriptor: int) -> bool:
    """Whether a write to it can wait for a reader: a pipe, a terminal, a socket."""
    if not hasattr(select, "poll"):
        return False
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


def open_to_write(path: str | Path) -> BinaryIO:
    """Opens a file or pipe to be written anew, by PipeOutput where a write can wait."""
    stream = open(path, "wb", buffering=0)  # noqa: SIM115 - closed with what is returned
    if not may_block(stream.fileno()):
        return io.BufferedWriter(stream)
    descriptor = os.dup(stream.fileno())
    stream.close()
    return cast(BinaryIO, PipeOutput(descriptor, owned=True))
