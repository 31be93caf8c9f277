"""The program `s2st`, also as `python -m s2st_cli`: signals are minded from the first import on."""

import contextlib
import gc
import sys

from s2st.interrupt import Stopped
from s2st_cli import signals


def entry_point() -> None:
    """The console script."""
    try:
        signals.install()
        from s2st_cli.main import run

        code = run()
        signals.finish()
    except Stopped as stopped:
        with contextlib.suppress(OSError, ValueError):
            print(f"s2st: error: {stopped}", file=sys.stderr, flush=True)
        code = 128 + stopped.number
        signals.finish()
    gc.freeze()  # the interpreter's end need not look for garbage: it would take half a second
    sys.exit(code)


if __name__ == "__main__":
    entry_point()
