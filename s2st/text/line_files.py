r"""Lines in and out of files and pipes: line i of the output is line i of the input, always.

Input is read as bytes and split at `\n` only (never at U+2028, a lone `\r` or a form feed); a
`\r` before `\n` is stripped with one warning a file, as is a byte order mark at the start.
Compressed input is recognised by its first bytes (`text/packed.py`), whatever its name; output is
compressed where its name ends in `.gz`. "-" is standard input or output.
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
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from s2st.errors import DataError, InputMissingError, OutputError, UsageError
from s2st.process import durable_files
from s2st.process.input_files import unreadable
from s2st.process.pipe_output import open_to_write
from s2st.process.snapshots import note
from s2st.process.stop_signals import held
from s2st.text.compressed_input import PIECE, UnpackedStream, Unpacker, suffix_of
from s2st.text.foreign_encodings import LEAST, foreign

log = logging.getLogger("s2st")
BOM = b"\xef\xbb\xbf"
MOST_BYTES = 1 << 26  # of a line: a small .gz file can hold one that fills the memory
_WORD = re.compile(r"[^ \t\n\r\f\v]+")


def split_words(text: str) -> list[str]:
    """Words between ASCII white space only, as Moses and multi-bleu.perl split."""
    # printable text has no white space but blanks, and `split` takes a third of the time
    return text.split() if text.isprintable() else _WORD.findall(text)


def standard_input() -> BinaryIO:
    """Standard input as bytes; raises InputMissingError where it is closed."""
    if sys.stdin is None:  # started with it closed (`<&-`)
        raise InputMissingError("standard input is closed")
    return sys.stdin.buffer


def open_input(path: str | Path, name: str | None = None) -> BinaryIO:
    """Opens a file or "-" for reading plain bytes, unpacked where they are compressed.

    Closing it leaves standard input open.

    Args:
        path: the input.
        name: what messages call it, by default its path.

    Raises:
        InputMissingError: it cannot be opened.
        DataError: it is compressed in a way that s2st does not read, or it was replaced since
            the command read it before.
    """
    unpacker = Unpacker(str(path) if name is None else name)
    try:
        if str(path) == "-":
            buffer = cast(io.BufferedReader, standard_input())
            return _opened(UnpackedStream(unpacker, buffer.read1, lambda: None))
        raw = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by who reads
        try:
            facts = os.fstat(raw.fileno())
            regular = stat.S_ISREG(facts.st_mode)
            if regular:
                note(path, facts)
            while not unpacker.known:
                unpacker.give(raw.read(PIECE))
            if regular and unpacker.plain:
                raw.seek(0)
                return io.BufferedReader(raw)
        except BaseException:
            raw.close()
            raise
        return _opened(UnpackedStream(unpacker, raw.read, raw.close))
    except OSError as error:
        raise unreadable(path, error) from error


def _opened(stream: UnpackedStream) -> BinaryIO:
    stream.look()
    return io.BufferedReader(stream, PIECE)


class LineDecoder:
    """Turns raw lines of one input into text, one at a time, counting them.

    Args:
        path: name of the input for messages, "-" for standard input.
        errors: "strict" makes a bad byte an error that names the line, "replace" counts it.
    """

    def __init__(self, path: str | Path, errors: str = "strict") -> None:
        self.path = str(path)
        self._shown = "standard input" if self.path == "-" else self.path
        self.errors = errors
        self.line = 0
        self.replaced_lines = 0
        self._warned_cr = False
        self._looked = False  # at enough bytes to know that the text is no UTF-16
        self._before = 0  # bytes that were looked at

    def decode(self, raw: bytes) -> str:
        r"""The text of a raw line, without its `\n` or `\r\n`; raises DataError."""
        self.line += 1
        if not self._looked:
            self._look(raw)
        if self.line == 1 and raw.startswith(BOM):
            log.warning("%s: a byte order mark at the start was left out", self._shown)
            raw = raw[len(BOM) :]
        if raw.endswith(b"\r\n"):
            if not self._warned_cr:
                log.warning("%s, line %d: CRLF line ends were stripped", self._shown, self.line)
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
                f"not UTF-8 at byte {error.start + 1} of the line; convert a file of another "
                "encoding with iconv (--encoding-errors replace puts U+FFFD for bad bytes)",
                self.path,
                self.line,
            ) from error

    def _look(self, raw: bytes) -> None:
        """Raises DataError where the first lines are UTF-16 or the like, whatever `errors` is."""
        what = foreign(raw, self._before)
        if what:
            raise DataError(what, self.path, self.line)
        self._before += len(raw)
        self._looked = len(raw) > LEAST

    def tell_replaced(self) -> None:
        """Warns, at the end of the input, if bad bytes were replaced."""
        if self.replaced_lines:
            log.warning("%s: bad bytes replaced in %d lines", self._shown, self.replaced_lines)


def too_long(path: str, line: int) -> DataError:
    """The error of a line, numbered from 1, of more than MOST_BYTES."""
    return DataError(f"a line of more than {MOST_BYTES} bytes", path, line)


def read_lines(path: str | Path, errors: str = "strict", name: str | None = None) -> Iterator[str]:
    """Yields the lines of a file, lazily; messages call it `name`, where that is given.

    Raises:
        InputMissingError: the file cannot be opened.
        DataError: bytes that are not UTF-8 (with errors="strict"), a line of more than MOST_BYTES,
            or compressed data that are damaged or cut short.
    """
    decoder = LineDecoder(path if name is None else name, errors)
    with open_input(path, name) as stream:
        yield from _decoded(stream, decoder)
    decoder.tell_replaced()


def _decoded(stream: BinaryIO, decoder: LineDecoder) -> Iterator[str]:
    """The lines of a stream; raises DataError."""
    while raw := _read(stream.readline, MOST_BYTES + 1, decoder):
        if len(raw) > MOST_BYTES:
            raise too_long(decoder.path, decoder.line + 1)
        yield decoder.decode(raw)


def _read(read: Callable[[int], bytes], most: int, decoder: LineDecoder) -> bytes:
    try:
        return read(most)
    except OSError as error:
        message = f"cannot be read further: {error}"
        raise DataError(message, decoder.path, decoder.line + 1) from error


def read_line(path: str | Path, number: int) -> str | None:
    """Line `number` of a file, from 1, None where it has fewer; raises as `read_lines`.

    What follows it is read only where it is compressed, so that its checksum is compared.
    """
    decoder = LineDecoder(path)
    with open_input(path) as stream:
        found = next(islice(_decoded(stream, decoder), number - 1, None), None)
        raw = cast(io.BufferedReader, stream).raw
        if isinstance(raw, UnpackedStream) and raw.packed:
            while _read(stream.read, PIECE, decoder):
                pass
    return found


def read_aligned(paths: Iterable[str | Path], errors: str = "strict") -> Iterator[tuple[str, ...]]:
    """Yields line i of every file together; raises DataError where one ends before the others."""
    names = [str(path) for path in paths]
    streams = [read_lines(name, errors) for name in names]
    for number, row in enumerate(zip_longest(*streams), start=1):
        if None in row:
            short = names[row.index(None)]
            longer = next(name for name, item in zip(names, row, strict=True) if item is not None)
            raise DataError(
                f"ends after {number - 1} lines but {longer} goes on; "
                "parallel files need equal line counts",
                short,
                number,
            )
        yield row


class LineWriter:
    """Writes lines to a stream, each whole even where a signal asks to stop.

    Args:
        stream: takes bytes; it stays open.
        flushed: whether `flush` is heeded; compressed lines had better stay together.
    """

    def __init__(self, stream: BinaryIO, flushed: bool = True) -> None:
        self._stream = stream
        self._flushed = flushed

    def __call__(self, line: str) -> None:
        """Writes one line, given without its newline; several, where it has newlines within."""
        with held():
            self._stream.write(line.encode("utf-8") + b"\n")

    def flush(self) -> None:
        """What was written reaches the file or pipe."""
        if self._flushed:
            with held():
                self._stream.flush()


@contextlib.contextmanager
def open_output(path: str | Path) -> Iterator[LineWriter]:
    """Yields what writes lines to a file, .gz file or "-"; at the end a regular file is synced.

    A regular file is emptied once it is locked: no two processes write the same file. The log
    says at the end that it was written.

    Raises:
        OutputError: the file cannot be opened or written, or another process writes it. A closed
            pipe stays BrokenPipeError.
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
    """An empty file for writing, compressed by name; `stack` closes it."""
    _refuse_suffix(str(path))
    if path.exists() and not path.is_file():
        stream = stack.enter_context(open_to_write(path))
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        stream = cast(BinaryIO, stack.enter_context(os.fdopen(descriptor, "wb")))
        if not durable_files.lock(descriptor):
            raise OutputError(f"{path}: another process writes it; stop it, or name another file")
        stream.truncate(0)
    if not path.name.endswith(".gz"):
        return stream
    packed = gzip.GzipFile(path, "wb", mtime=0, fileobj=stream)
    return cast(BinaryIO, stack.enter_context(packed))


def check_outputs(outputs: Iterable[str | None], inputs: Iterable[str | None]) -> None:
    """Finds, before the work, what would fail at its end; nothing is opened or changed.

    Args:
        outputs, inputs: files, or "-"; None where there is none.

    Raises:
        OutputError: an output is a folder, in no folder, or must not be written.
        UsageError: an output is one of the inputs, or another output, or its name ends in .xz
            or .bz2.
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
    """Equal for two names of one regular file, also one that is to be made; else None."""
    try:
        info = os.fstat(standard.fileno()) if path == "-" else os.stat(path)
    except FileNotFoundError:
        return os.path.realpath(path)
    except (OSError, ValueError, AttributeError):  # closed, or a test's stand-in
        return None
    return (info.st_dev, info.st_ino) if stat.S_ISREG(info.st_mode) else None


def _refuse_suffix(path: str) -> None:
    """Raises UsageError for a name whose content would be taken for compressed, and is not."""
    suffix = suffix_of(path)
    if suffix not in ("", ".gz"):
        program = {".xz": "xz", ".bz2": "bzip2"}[suffix]
        raise UsageError(
            f"{path}: only .gz is compressed on the way out; write to standard output and pipe it "
            f"into `{program} -c`, or name another file"
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
