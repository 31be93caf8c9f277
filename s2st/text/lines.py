r"""Lines in and out of files and pipes: line i of the output is line i of the input, always.

Input is read as bytes and split at `\n` only (never at U+2028, a lone `\r` or a form feed); a
`\r` before `\n` is stripped with one warning a file, as is a byte order mark at the start. `.gz`
is read and written by name; "-" is standard input or output.
"""

import contextlib
import gzip
import logging
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from s2st.errors import DataError, InputMissingError, OutputError

log = logging.getLogger("s2st")
BOM = b"\xef\xbb\xbf"
_WORD = re.compile(r"[^ \t\n\r\f\v]+")


def split_words(text: str) -> list[str]:
    """Words between ASCII white space only, as Moses and multi-bleu.pl split."""
    return _WORD.findall(text)


def open_input(path: str | Path) -> BinaryIO:
    """Opens a file, a .gz file or "-" for reading bytes; raises InputMissingError."""
    if str(path) == "-":
        if sys.stdin is None:  # started with it closed (`<&-`)
            raise InputMissingError("standard input is closed")
        return sys.stdin.buffer
    try:
        if str(path).endswith(".gz"):
            # gzip opens lazily: a first look at the file itself finds a folder or a missing file
            with open(path, "rb"):
                pass
            return cast(BinaryIO, gzip.open(path, "rb"))
        return open(path, "rb")
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error


class LineDecoder:
    """Turns raw lines of one input into text, one at a time, counting them.

    Args:
        path: name of the input for messages, "-" for standard input.
        errors: "strict" makes a bad byte an error that names the line, "replace" counts it.
    """

    def __init__(self, path: str | Path, errors: str = "strict") -> None:
        self.path = str(path)
        self.errors = errors
        self.line = 0
        self.replaced_lines = 0
        self._warned_cr = False

    def decode(self, raw: bytes) -> str:
        r"""The text of a raw line, without its `\n` or `\r\n`; raises DataError."""
        self.line += 1
        if self.line == 1 and raw.startswith(BOM):
            log.warning("%s: a byte order mark at the start was left out", self.path)
            raw = raw[len(BOM) :]
        if raw.endswith(b"\r\n"):
            if not self._warned_cr:
                log.warning("%s, line %d: CRLF line ends were stripped", self.path, self.line)
                self._warned_cr = True
            raw = raw[:-2]
        elif raw.endswith(b"\n"):
            raw = raw[:-1]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if self.errors == "replace":
                self.replaced_lines += 1
                return raw.decode("utf-8", "replace")
            raise DataError(
                f"not UTF-8 at byte {error.start + 1} of the line "
                "(--encoding-errors replace goes on with U+FFFD)",
                self.path,
                self.line,
            ) from error

    def tell_replaced(self) -> None:
        """Warns, at the end of the input, if bad bytes were replaced."""
        if self.replaced_lines:
            log.warning("%s: bad bytes replaced in %d lines", self.path, self.replaced_lines)


def read_lines(path: str | Path, errors: str = "strict") -> Iterator[str]:
    """Yields the lines of a file, lazily.

    Raises:
        InputMissingError: the file cannot be opened.
        DataError: bytes that are not UTF-8 (with errors="strict"), or a damaged .gz file.
    """
    decoder = LineDecoder(path, errors)
    with contextlib.ExitStack() as stack:
        stream = open_input(path)
        if str(path) != "-":
            stack.enter_context(stream)
        while True:
            try:
                raw = stream.readline()
            except (OSError, EOFError, zlib.error) as error:
                message = f"cannot be read further: {error}"
                raise DataError(message, str(path), decoder.line + 1) from error
            if not raw:
                break
            yield decoder.decode(raw)
    decoder.tell_replaced()


def read_aligned(paths: Iterable[str | Path], errors: str = "strict") -> Iterator[tuple[str, ...]]:
    """Yields line i of every file together; raises DataError where one ends before the others."""
    names = [str(path) for path in paths]
    streams = [read_lines(name, errors) for name in names]
    number = 0
    while True:
        number += 1
        row = [next(stream, None) for stream in streams]
        if all(item is None for item in row):
            return
        if any(item is None for item in row):
            short = names[row.index(None)]
            longer = next(name for name, item in zip(names, row, strict=True) if item is not None)
            raise DataError(
                f"ends after {number - 1} lines but {longer} goes on; "
                "parallel files need equal line counts",
                short,
                number,
            )
        yield tuple(item for item in row if item is not None)


@contextlib.contextmanager
def open_output(path: str | Path) -> Iterator[Callable[[str], None]]:
    """Yields a function that writes one line (without its newline) to a file, .gz file or "-".

    Raises:
        OutputError: the file cannot be opened or written. A closed pipe stays BrokenPipeError.
    """
    is_stdout = str(path) == "-"
    try:
        if is_stdout:
            stream = sys.stdout.buffer
        elif str(path).endswith(".gz"):
            stream = cast(BinaryIO, gzip.GzipFile(path, "wb", mtime=0))
        else:
            stream = open(path, "wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def write(line: str) -> None:
        stream.write(line.encode("utf-8") + b"\n")

    try:
        yield write
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if is_stdout else str(path)
        raise OutputError(f"{name}: cannot be written: {error.strerror}") from error
    finally:
        if not is_stdout:
            with contextlib.suppress(OSError):
                stream.close()
