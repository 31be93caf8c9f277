"""Stop signals (SIGINT, SIGTERM, ...): where they interrupt the work, and where they wait.

The command line's signal handlers call `request`. It raises Stopped wherever the program is,
except inside `held()`: there the stop waits until a line or record is complete. Without handlers
this module has no effect.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

_number = 0  # of the first signal; 0 if none has arrived
_holds = 0  # nesting depth of `held` and `noted`
_raised = False  # whether Stopped was raised for the signal


class Stopped(BaseException):
    """A signal interrupted the work.

    It is not an Exception, so that a library's `except Exception` does not swallow it.

    Attributes:
        number: the signal number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def request(number: int) -> None:
    """Record the first signal, and raise Stopped unless the stop has to wait."""
    global _number
    if not _number:
        _number = number
        if not _holds:
            stop()


def stop() -> NoReturn:
    """Raise Stopped for the signal that has arrived."""
    global _raised
    _raised = True
    raise Stopped(_number)


def raised_for() -> int:
    """Return the number of the signal for which Stopped was raised, 0 if it was not raised.

    An error after that may come from a library that swallowed Stopped: safetensors raises an error
    of its own.
    """
    return _number if _raised else 0


def requested() -> int:
    """Return the number of the signal that has arrived, 0 if none has."""
    return _number


def check() -> None:
    """Raise Stopped if a signal has arrived, even inside `held` or `noted`."""
    if _number:
        stop()


def check_unless_held() -> None:
    """Raise Stopped if a signal has arrived, unless the stop has to wait."""
    if _number and not _holds:
        stop()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Complete the block before a stop: a signal that arrives inside raises Stopped at the end."""
    global _holds
    _holds += 1
    try:
        yield
    finally:
        _holds -= 1
    check_unless_held()


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], int]]:
    """Only record signals; yield the function by which the job asks whether one has arrived."""
    global _holds
    _holds += 1
    try:
        yield requested
    finally:
        _holds -= 1
