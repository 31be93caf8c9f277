"""The program `s2st`, also run as `python -m s2st_cli`: signal handlers, streams, exit code."""

import contextlib
import gc
import os
import sys

from s2st.process.stop_signals import Stopped
from s2st_cli import signal_handlers, standard_streams


def entry_point() -> None:
    """Run the program and exit; install the signal handlers before the slow imports."""
    try:
        signal_handlers.install()
        standard_streams.guard_streams()
        from s2st_cli.main import run

        code = run()
        signal_handlers.finish()
    except Stopped as stopped:
        from s2st_cli.terminal_output import say

        say(f"error: {stopped}")
        code = 128 + stopped.number
        signal_handlers.finish()
    if os.environ.get("WORLD_SIZE", "1") != "1":
        _leave(code)
    gc.freeze()  # skips the garbage collection at exit, which takes half a second
    sys.exit(code)


def _leave(code: int) -> None:
    """Exit without cleanup, because nobody would notice a rank that hangs at exit."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    entry_point()
