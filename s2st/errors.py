"""Every error that a user can cause, each with its exit code and one clear line."""

from collections.abc import Iterable


class S2STError(Exception):
    """Base of all errors that s2st raises on purpose; `str()` of it is one line for the user."""

    exit_code = 1


def reason(error: OSError) -> str:
    """Why the system refused, in words; some errors of Python's own have no strerror."""
    return error.strerror or str(error) or type(error).__name__


class UsageError(S2STError):
    """Options that do not fit together, or a name that is not registered."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration value, key or file that cannot be used."""


class DataError(S2STError):
    """Bad input data. `path` and `line` (from 1) say where, and open the message.

    Attributes:
        path: the file, "-" for standard input, or None.
        line: line number from 1, or None.
    """

    exit_code = 65

    def __init__(self, message: str, path: str | None = None, line: int | None = None) -> None:
        where = ""
        if path is not None:
            where = "standard input" if path == "-" else path
            if line is not None:
                where += f", line {line}"
            where += ": "
        elif line is not None:
            where = f"line {line}: "
        super().__init__(where + message)
        self.path = path
        self.line = line


class CheckpointError(DataError):
    """A checkpoint, store or ensemble file that is incomplete, damaged or of another kind."""


class InputMissingError(S2STError):
    """An input file or folder that does not exist or cannot be read."""

    exit_code = 66


class OutputError(S2STError):
    """An output that cannot be written (exists already, no space, no permission)."""

    exit_code = 74


class OutOfMemoryError(S2STError):
    """The memory ran out over some lines, which the message names."""


def describe_lines(indices: Iterable[int], longest: int) -> str:
    """Some lines of an input, given by index from 0, and the tokens of the longest."""
    numbers = sorted(index + 1 for index in indices)
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"input line {shown} (up to {longest:,} tokens)"


class InterruptedBySignalError(S2STError):
    """A signal stopped the work after its state was saved; the exit code is 128 + the signal."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
