"""Handlers for the stop signals SIGTERM, SIGINT and SIGHUP."""

import signal
from collections.abc import Iterator
from types import FrameType

from s2st.process import stop_signals


def install() -> None:
    """Install the handlers, which stop the running job."""
    for number in _heard():
        signal.signal(number, _handle)


def finish() -> None:
    """Ignore the signals from now on, so that none changes the exit code during exit."""
    for number in _heard():
        signal.signal(number, signal.SIG_IGN)


def _heard() -> Iterator[int]:
    """The signals that exist, except those that `nohup` or the shell's `&` had us ignore."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            yield number


def _handle(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT:  # a second Ctrl-C ends the process at once
        signal.signal(number, signal.SIG_DFL)
    stop_signals.request(number)
