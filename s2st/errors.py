"""Exception classes for every error that a user can cause, each with its exit code."""

from collections.abc import Iterable


class S2STError(Exception):
    """Base class of all errors that s2st raises on purpose. Its text is one line for the user."""

    exit_code = 1


def reason(error: OSError) -> str:
    """Return the system's reason in words. Some of Python's own errors have no strerror."""
    return error.strerror or str(error) or type(error).__name__


class UsageError(S2STError):
    """Options that contradict each other, or an unknown component name."""

    exit_code = 2


class ConfigError(UsageError):
    """An option value, option name or option file that cannot be used."""


class DataError(S2STError):
    """Bad input data. The message starts with the file and the line.

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
    """A checkpoint, store or ensemble file that is incomplete, damaged or of the wrong kind."""


class InputMissingError(S2STError):
    """An input file or folder that does not exist or cannot be read."""

    exit_code = 66


class OutputError(S2STError):
    """An output that cannot be written: it already exists, the disk is full, no permission."""

    exit_code = 74


class OutOfMemoryError(S2STError):
    """Memory ran out. The message names the input lines that were being processed."""


def describe_lines(indices: Iterable[int], longest: int) -> str:
    """Return the line numbers of a batch for an error message, and its longest length.

    Args:
        indices: line indices from 0.
        longest: number of tokens of the longest line.
    """
    numbers = sorted(index + 1 for index in indices)
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"input line {shown} (up to {longest:,} tokens)"


class InterruptedBySignalError(S2STError):
    """A signal stopped the work after its state was saved. Exit code: 128 + signal number."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
