"""The handlers of signals that ask to stop."""

import signal
from collections.abc import Iterator
from types import FrameType

from s2st.process import stop_signals


def install() -> None:
    """From now on these signals break off the work."""
    for number in _heard():
        signal.signal(number, _handle)


def finish() -> None:
    """The work is done and only the interpreter's end is left: let no signal spoil that."""
    for number in _heard():
        signal.signal(number, signal.SIG_IGN)


def _heard() -> Iterator[int]:
    """The signals there are, less those that the shell had us ignore (`nohup`, `&`)."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            yield number


def _handle(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT:  # a second Ctrl-C ends the process at once, whatever it does
        signal.signal(number, signal.SIG_DFL)
    stop_signals.request(number)
