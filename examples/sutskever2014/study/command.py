"""What the scripts of all studies share: messages, exit codes, and the number of cores."""

import os
import sys
from collections.abc import Callable

from s2st.errors import S2STError
from study.steps import StoppedError, StudyError

# cores that this process may use
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def say(text: str) -> None:
    """Print a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def exit_code_of(work: Callable[[], None]) -> int:
    """Do the work of a script; report a stop or a failure in one line, and return the exit code."""
    try:
        work()
    except StoppedError as stop:
        say(f"stopped by {stop}; run the same command again to resume")
        return 128 + stop.number
    except KeyboardInterrupt:  # before or after the steps
        say("stopped by SIGINT; run the same command again to resume")
        return 130
    except (StudyError, S2STError) as error:
        say(f"error: {error}")
        return getattr(error, "exit_code", 1)
    except OSError as error:
        say(f"error: {error.filename or 'the run folder'}: {error.strerror or error}")
        return 1
    return 0
