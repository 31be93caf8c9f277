"""Run one s2st command for the small examples, and say what it is and how long it took."""

import subprocess
import sys
import time


def s2st(arguments: str, may_fail: bool = False) -> str | None:
    """Run a command and return its stdout.

    Args:
        arguments: words after `s2st`, with white space between them.
        may_fail: return None if the command fails; otherwise the script ends with its exit code.
    """
    say(f"$ s2st {arguments}")
    started = time.perf_counter()
    words = [sys.executable, "-m", "s2st_cli", *arguments.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        say(done.stderr.rstrip())
        if may_fail:
            return None
        sys.exit(done.returncode)
    say(f"  {time.perf_counter() - started:.0f} s")
    return done.stdout


def say(text: str) -> None:
    """Print a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)
