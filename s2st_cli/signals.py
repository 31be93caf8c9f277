"""Signals that ask a long job to stop: noted here, looked at by the job where it can stop."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


class StopRequest:
    """Remembers the first signal; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> int:
        """The signal's number, 0 where none came."""
        return self.number

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Notes stop signals while in the context, and puts the old handlers back after it."""
    request = StopRequest()
    old = {}
    for name in STOP_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None:
            old[number] = signal.signal(number, request.note)
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
