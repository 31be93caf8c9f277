r"""Reading and writing of lines of UTF-8 text: files, .gz files, standard input and output.

Line i of an output belongs to line i of the input. Input is read as bytes and split at `\n` only
(never at U+2028, a lone `\r` or a form feed). A `\r` before `\n` and a byte order mark at the
start are removed, with one warning per file. Compressed input is recognized by its first bytes,
not by its name (`compressed_input.py`); output is compressed if its name ends in `.gz`. "-" is
standard input or output.
"""

import contextlib
import errno
import gzip
import io
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from s2st.errors import DataError, InputMissingError, OutputError, UsageError
from s2st.process import durable_files
from s2st.process.bounded_read import unreadable
from s2st.process.consistent_reads import note
from s2st.process.pipe_output import open_to_write
from s2st.process.stop_signals import held
from s2st.text.compressed_input import PIECE, UnpackedStream, Unpacker, suffix_of
from s2st.text.foreign_encodings import LEAST, describe_foreign_encoding

log = logging.getLogger("s2st")
BOM = b"\xef\xbb\xbf"
MAX_BYTES = 1 << 26  # of a line: a line of a small .gz file could fill the memory
_WORD = re.compile(r"[^ \t\n\r\f\v]+")


def split_words(text: str) -> list[str]:
    """Split at ASCII white space only, as Moses and multi-bleu.perl do."""
    # printable text has no other white space than spaces, and `split` takes a third of the time
    return text.split() if text.isprintable() else _WORD.findall(text)


def standard_input() -> BinaryIO:
    """Return standard input as bytes; raise InputMissingError if it is closed."""
    if sys.stdin is None:  # the program was started with `<&-`
        raise InputMissingError("standard input is closed")
    return sys.stdin.buffer


def open_input(path: str | Path, name: str | None = None) -> BinaryIO:
    """Open a file or "-" for reading bytes; decompress it if necessary.

    Closing the result leaves standard input open.

    Args:
        path: the input.
        name: its name in messages, by default the path.

    Raises:
        InputMissingError: it cannot be opened.
        DataError: it is compressed in a way that s2st does not read, or it was replaced since
            the command read it before.
    """
    unpacker = Unpacker(str(path) if name is None else name)
    try:
        if str(path) == "-":
            buffer = cast(io.BufferedReader, standard_input())
            return _buffered(UnpackedStream(unpacker, buffer.read1, lambda: None))
        raw = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by the caller
        try:
            facts = os.fstat(raw.fileno())
            regular = stat.S_ISREG(facts.st_mode)
            if regular:
                note(path, facts)
            while not unpacker.detected:
                unpacker.feed(raw.read(PIECE))
            if regular and unpacker.plain:
                raw.seek(0)
                return io.BufferedReader(raw)
        except BaseException:
            raw.close()
            raise
        return _buffered(UnpackedStream(unpacker, raw.read, raw.close))
    except OSError as error:
        raise unreadable(path, error) from error


def _buffered(stream: UnpackedStream) -> BinaryIO:
    stream.detect_format()
    return io.BufferedReader(stream, PIECE)


class LineDecoder:
    """Decodes the raw lines of one input, in order, and counts them.

    Args:
        path: name of the input for messages, "-" for standard input.
        errors: `--encoding-errors`: for bytes that are not UTF-8, "strict" raises an error that
            names the line; "replace" puts U+FFFD and counts the line. None for an input to which
            the option does not apply: as "strict", but the message does not name the option.
    """

    def __init__(self, path: str | Path, errors: str | None = None) -> None:
        self.path = str(path)
        self._shown = "standard input" if self.path == "-" else self.path
        self.errors = errors
        self.line = 0
        self.replaced_lines = 0
        self._warned_cr = False
        self._checked_encoding = False  # whether enough bytes were seen to exclude UTF-16
        self._before = 0  # bytes seen by the check

    def decode(self, raw: bytes) -> str:
        r"""Return the text of a raw line, without its `\n` or `\r\n`; raise DataError."""
        self.line += 1
        if not self._checked_encoding:
            self._check_encoding(raw)
        if self.line == 1 and raw.startswith(BOM):
            log.warning("%s: removed a byte order mark at the start", self._shown)
            raw = raw[len(BOM) :]
        if raw.endswith(b"\r\n"):
            if not self._warned_cr:
                log.warning("%s, line %d: removed CR from CRLF line ends", self._shown, self.line)
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
            remedy = "convert the file with iconv"
            if self.errors is not None:
                remedy += ", or use --encoding-errors replace to read bad bytes as U+FFFD"
            message = f"not UTF-8 at byte {error.start + 1} of the line; {remedy}"
            raise DataError(message, self.path, self.line) from error

    def _check_encoding(self, raw: bytes) -> None:
        """Raise DataError if the first lines are UTF-16, UTF-32 or tar, whatever `errors` is."""
        message = describe_foreign_encoding(raw, self._before)
        if message:
            raise DataError(message, self.path, self.line)
        self._before += len(raw)
        self._checked_encoding = len(raw) > LEAST

    def warn_replaced(self) -> None:
        """Warn at the end of the input if bad bytes were replaced."""
        if self.replaced_lines:
            log.warning(
                "%s: bytes that are not UTF-8 were read as U+FFFD in %d lines",
                self._shown,
                self.replaced_lines,
            )


def line_too_long(path: str, line: int) -> DataError:
    """Return the error for a line of more than MAX_BYTES; `line` is its number from 1."""
    return DataError(f"the line has more than {MAX_BYTES} bytes", path, line)


def read_lines(
    path: str | Path, errors: str | None = None, name: str | None = None
) -> Iterator[str]:
    """Yield the lines of a file, lazily.

    Args:
        path: the file, "-" for standard input.
        errors: see LineDecoder.
        name: its name in messages, by default the path.

    Raises:
        InputMissingError: the file cannot be opened.
        DataError: bytes that are not UTF-8 (unless errors is "replace"), a line of more than
            MAX_BYTES, or compressed data that are damaged or truncated.
    """
    decoder = LineDecoder(path if name is None else name, errors)
    with open_input(path, name) as stream:
        yield from _decoded(stream, decoder)
    decoder.warn_replaced()


def _decoded(stream: BinaryIO, decoder: LineDecoder) -> Iterator[str]:
    """Yield the lines of a stream; raise DataError."""
    while raw := _read(stream.readline, MAX_BYTES + 1, decoder):
        if len(raw) > MAX_BYTES:
            raise line_too_long(decoder.path, decoder.line + 1)
        yield decoder.decode(raw)


def _read(read: Callable[[int], bytes], most: int, decoder: LineDecoder) -> bytes:
    try:
        return read(most)
    except OSError as error:
        message = f"reading failed: {error}"
        raise DataError(message, decoder.path, decoder.line + 1) from error


def read_line(path: str | Path, number: int) -> str | None:
    """Return line `number` (from 1) of a file, None if it has fewer; raises as `read_lines`.

    The rest of a compressed file is read too, so that its checksum is verified.
    """
    decoder = LineDecoder(path)
    with open_input(path) as stream:
        line = next(islice(_decoded(stream, decoder), number - 1, None), None)
        raw = cast(io.BufferedReader, stream).raw
        if isinstance(raw, UnpackedStream) and raw.compressed:
            while _read(stream.read, PIECE, decoder):
                pass
    return line


def read_aligned(
    paths: Iterable[str | Path], errors: str | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield line i of every file together; raise DataError if one ends before the others."""
    names = [str(path) for path in paths]
    return aligned(names, [read_lines(name, errors) for name in names])


def aligned(names: Sequence[str], streams: Iterable[Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """Yield line i of every stream together; raise DataError if one ends before the others.

    Args:
        names: the files of the streams, for the message.
        streams: their lines.
    """
    for number, row in enumerate(zip_longest(*streams), start=1):
        if None in row:
            short = names[row.index(None)]
            longer = next(name for name, item in zip(names, row, strict=True) if item is not None)
            raise DataError(
                f"ends after {number - 1} lines, but {longer} has more; "
                "parallel files need the same number of lines",
                short,
                number,
            )
        yield row


class LineWriter:
    """Writes complete lines to a stream, even if a stop signal arrives.

    Args:
        stream: takes bytes; it stays open.
        flushed: whether `flush` has an effect; flushing compressed lines would enlarge the file.
    """

    def __init__(self, stream: BinaryIO, flushed: bool = True) -> None:
        self._stream = stream
        self._flushed = flushed

    def __call__(self, line: str) -> None:
        """Write one line, given without its final newline; it may contain newlines."""
        with held():
            self._stream.write(line.encode("utf-8") + b"\n")

    def flush(self) -> None:
        """Flush the written lines to the file or pipe."""
        if self._flushed:
            with held():
                self._stream.flush()


@contextlib.contextmanager
def open_output(path: str | Path) -> Iterator[LineWriter]:
    """Yield a writer of lines to a file, a .gz file or "-"; sync a regular file at the end.

    A regular file is locked, then emptied, so that no two processes write the same file. At the
    end the log says that it was written.

    Raises:
        OutputError: the file cannot be opened or written, or another process is writing to it. For
            a closed pipe, BrokenPipeError.
    """
    is_stdout = str(path) == "-"
    with contextlib.ExitStack() as stack:
        try:
            stream = sys.stdout.buffer if is_stdout else _open_file(Path(path), stack)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            yield LineWriter(stream, flushed=not str(path).endswith(".gz"))
            with held():
                stream.flush()
                stack.close()
                if not is_stdout and os.path.isfile(path):
                    durable_files.sync_file(Path(path))
                    durable_files.sync_folder(Path(path).parent)
                    log.info("wrote %s", path)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = "standard output" if is_stdout else str(path)
            raise OutputError(f"{name}: cannot be written: {error.strerror}") from error
        finally:
            with held(), contextlib.suppress(OSError):
                stack.close()


def _open_file(path: Path, stack: contextlib.ExitStack) -> BinaryIO:
    """Open an empty file for writing, compressed if its name says so; `stack` closes it."""
    _refuse_suffix(str(path))
    if path.exists() and not path.is_file():
        stream = stack.enter_context(open_to_write(path))
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        stream = cast(BinaryIO, stack.enter_context(os.fdopen(descriptor, "wb")))
        if not durable_files.lock(descriptor):
            raise OutputError(
                f"{path}: another process is writing to it; stop it, or name another file"
            )
        stream.truncate(0)
    if not path.name.endswith(".gz"):
        return stream
    packed = gzip.GzipFile(path, "wb", mtime=0, fileobj=stream)
    return cast(BinaryIO, stack.enter_context(packed))


def check_outputs(outputs: Iterable[str | None], inputs: Iterable[str | None]) -> None:
    """Check outputs before the work, so that writing does not fail at its end; open no file.

    Args:
        outputs, inputs: files or "-"; None is skipped.

    Raises:
        OutputError: an output is a folder, its folder does not exist, or it is not writable.
        UsageError: an output is also an input or another output, or its name ends in .xz or .bz2.
    """
    seen = {_identity(path, sys.stdin): path for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        if path != "-":
            _check_writable(path)
        identity = _identity(path, sys.stdout)
        if identity is None:
            continue
        if identity in seen:
            raise UsageError(f"{path}: the output would overwrite {seen[identity]}; name another")
        seen[identity] = path


def _identity(path: str, standard: TextIO) -> tuple[int, int] | str | None:
    """Return a key that is equal for two names of one regular file, which may not exist yet.

    The key of any other file is None.
    """
    try:
        info = os.fstat(standard.fileno()) if path == "-" else os.stat(path)
    except FileNotFoundError:
        return os.path.realpath(path)
    except (OSError, ValueError, AttributeError):  # closed, or replaced by a test
        return None
    return (info.st_dev, info.st_ino) if stat.S_ISREG(info.st_mode) else None


def _refuse_suffix(path: str) -> None:
    """Raise UsageError for a name that promises a compression that s2st cannot write."""
    suffix = suffix_of(path)
    if suffix not in ("", ".gz"):
        program = {".xz": "xz", ".bz2": "bzip2"}[suffix]
        raise UsageError(
            f"{path}: s2st compresses .gz outputs only; write to standard output and pipe it into "
            f"`{program} -c`, or use another name"
        )


def _check_writable(path: str) -> None:
    _refuse_suffix(path)
    folder = os.path.dirname(path) or "."
    code = 0
    if os.path.isdir(path):
        code = errno.EISDIR
    elif os.path.exists(path):
        code = 0 if os.access(path, os.W_OK) else errno.EACCES
    elif not os.path.isdir(folder):
        code = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
    elif not os.access(folder, os.W_OK | os.X_OK):
        code = errno.EACCES
    if code:
        raise OutputError(f"{path}: cannot be written: {os.strerror(code)}")
