"""Signals that ask to stop: where one may break off the work, and where it has to wait.

The command line's handlers call `request`. It raises Stopped wherever the program is, except
inside `held()`, where a stop waits for the end of what must not be torn (a line, a record). Without
handlers nothing here does anything.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

_number = 0  # of the first signal; 0: none came
_holds = 0
_raised = False  # whether Stopped was raised for it


class Stopped(BaseException):
    """A signal broke off the work. No Exception: a library's `except Exception` must not eat it.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def request(number: int) -> None:
    """Notes a signal, the first one only, and raises Stopped unless that has to wait."""
    global _number
    if not _number:
        _number = number
        if not _holds:
            stop()


def stop() -> NoReturn:
    """Raises Stopped for the signal that came."""
    global _raised
    _raised = True
    raise Stopped(_number)


def broken_off() -> int:
    """The number of the signal for which Stopped was raised, 0 where it was not.

    An error after that may be a library's that ate it: safetensors gives one of its own.
    """
    return _number if _raised else 0


def requested() -> int:
    """The number of the signal that came, 0 where none did."""
    return _number


def check() -> None:
    """Raises Stopped where a signal came, also where such are only noted: nothing is at stake."""
    if _number:
        stop()


def check_unless_held() -> None:
    """Raises Stopped where a signal came, unless that has to wait."""
    if _number and not _holds:
        stop()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What is done here is done to its end; a signal that came meanwhile raises Stopped then."""
    global _holds
    _holds += 1
    try:
        yield
    finally:
        _holds -= 1
    check_unless_held()


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], int]]:
    """Signals are noted only, for a job that looks at them itself by what this yields."""
    global _holds
    _holds += 1
    try:
        yield requested
    finally:
        _holds -= 1
