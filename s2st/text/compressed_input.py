"""Decompression of inputs, recognized by their first bytes: gzip, xz and bzip2.

Other compression formats are refused with the command that unpacks them. A stream is read to its
end, so that its checksum is verified; other data after the compressed data are an error. Memory
does not depend on the size of the unpacked data.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s2st.errors import DataError

MAX_DICTIONARY = 1 << 28  # bytes of memory an .xz file may require; `xz -9` needs 65 MiB
PIECE = 1 << 16  # compressed bytes read together
# first bytes of a block, and of the end of the stream, which follows at once in an empty file
_BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")


class DamagedError(OSError):
    """Compressed data that are damaged, truncated or followed by other data."""


@dataclass(frozen=True)
class Format:
    """A compression or archive format.

    Attributes:
        name: name for messages.
        magic: possible first bytes of its files; no text starts with them.
        unpack: command that unpacks a file to standard output.
        decompressor: makes an object that decompresses one stream; None if s2st cannot read it.
        suffix: suffix of file names; a file with this suffix must contain compressed data.
    """

    name: str
    magic: tuple[bytes, ...]
    unpack: str
    decompressor: Callable[[], Any] | None = None
    suffix: str = ""


FORMATS = (
    Format("gzip", (b"\x1f\x8b",), "gzip -dc", lambda: zlib.decompressobj(31), ".gz"),
    Format(
        "xz", (b"\xfd7zXZ\x00",), "xz -dc",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_DICTIONARY), ".xz",
    ),
    Format(
        "bzip2", tuple(b"BZh%d" % n + block for n in range(1, 10) for block in _BZIP2_BLOCKS),
        "bzip2 -dc", bz2.BZ2Decompressor, ".bz2",
    ),
    Format("zstd", (b"\x28\xb5\x2f\xfd",), "zstd -dc"),
    Format("lz4", (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"), "lz4 -dc"),
    Format("lzip", (b"LZIP\x01",), "lzip -dc"),
    Format("lzop", (b"\x89LZO\x00",), "lzop -dc"),
    Format("lzma", (b"\x5d\x00\x00",), "xz --format=lzma -dc"),
    Format("compress", (b"\x1f\x9d", b"\x1f\xa0"), "gzip -dc"),
    Format("ZIP", (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"), "unzip -p"),
    Format("7z", (b"7z\xbc\xaf\x27\x1c",), "7z x -so"),
    Format("RAR", (b"Rar!\x1a\x07",), "unrar p -inul"),
    Format("PDF", (b"%PDF-1.", b"%PDF-2."), "pdftotext"),
)  # fmt: skip


def recognize(head: bytes) -> tuple[Format | None, bool]:
    """Return the format of an input with these first bytes, and whether more bytes are needed.

    The format of text is None.
    """
    for form in FORMATS:
        if head.startswith(form.magic):
            return form, False
    undecided = any(magic.startswith(head) for form in FORMATS for magic in form.magic)
    return None, undecided


def suffix_of(name: str) -> str:
    """Return the suffix of a file name that promises compressed data, else ""."""
    return next((form.suffix for form in FORMATS if form.suffix and name.endswith(form.suffix)), "")


class Unpacker:
    """Decompresses the bytes of one input; passes on those of a plain input unchanged.

    `feed` takes input bytes, b"" at the end; `read` returns plain bytes.

    Args:
        name: name of the input, for messages.

    Attributes:
        ended: whether the end of the input was fed.
        detected: whether the format of the input is known.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._unread = b""
        self.ended = False
        self._form: Format | None = None
        self._stream: Any = None  # decompressor of the current member of the file
        self._members = 0
        self.detected = False

    def feed(self, data: bytes) -> None:
        """Add input bytes; b"" marks the end of the input.

        Raises:
            DataError: s2st cannot read the compression format, or the input is not compressed
                although its name says so.
        """
        self._unread += data
        self.ended = not data
        if self.detected:
            return
        self._form, undecided = recognize(self._unread)
        self.detected = self.ended or not undecided
        if not self.detected:
            return
        suffix = suffix_of(self._name)
        if self._form is None:
            if suffix:
                problem = "empty" if not self._unread else "damaged, or not compressed"
                raise DataError(f"{problem}, but its name ends in {suffix}", self._name, 1)
        else:
            _refuse_unreadable(self._form, self._name)

    @property
    def plain(self) -> bool:
        """Whether the input is known not to be compressed."""
        return self.detected and self._form is None

    def read(self, most: int) -> bytes:
        """Return up to `most` plain bytes; b"" if more input is needed, or at the end.

        Raises:
            DamagedError: the compressed data are damaged or truncated.
        """
        if not self.detected:
            return b""
        if self._form is None:
            data, self._unread = self._unread[:most], self._unread[most:]
            return data
        try:
            return self._unpacked(most)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise DamagedError(f"damaged {self._form.name} data ({error})") from error

    def _unpacked(self, most: int) -> bytes:
        form = self._form
        assert form is not None
        assert form.decompressor is not None
        while True:
            if self._stream is None:
                if self._members:
                    self._unread = self._unread.lstrip(b"\0")  # padding of tapes and of xz
                if not self._unread:
                    return b""
                if not any(_same_start(self._unread, magic) for magic in form.magic):
                    raise DamagedError("other data follow it")
                self._stream = form.decompressor()
            stream = self._stream
            data: bytes = stream.decompress(self._unread, most)
            self._unread = getattr(stream, "unconsumed_tail", b"")  # zlib; others keep the rest
            if stream.eof:
                self._unread, self._stream = stream.unused_data, None
                self._members += 1
            if data:
                return data
            if self._stream is not None and getattr(stream, "needs_input", True):
                if self.ended:
                    raise DamagedError("truncated")
                return b""


def _same_start(data: bytes, magic: bytes) -> bool:
    """Whether the data, which may be shorter than `magic`, start with it."""
    return data.startswith(magic) or magic.startswith(data)


def _refuse_unreadable(form: Format, name: str) -> None:
    if form.decompressor is None:
        message = f"{form.name} data, not text; unpack it first: {form.unpack} FILE > TEXT"
        raise DataError(message, name, 1)


class UnpackedStream(io.RawIOBase):
    """A readable stream of the plain bytes of an input that may be compressed.

    Args:
        unpacker: may already have the first bytes.
        read: returns up to so many bytes of the input, b"" at its end.
        close: closes the input.
    """

    def __init__(
        self, unpacker: Unpacker, read: Callable[[int], bytes], close: Callable[[], object]
    ) -> None:
        self._unpacker = unpacker
        self._read = read
        self._close = close

    def detect_format(self) -> None:
        """Read until the format is known; raises as `Unpacker.feed`."""
        while not self._unpacker.detected:
            self._unpacker.feed(self._read(PIECE))

    @property
    def compressed(self) -> bool:
        """Whether the input is known to be compressed."""
        return self._unpacker.detected and not self._unpacker.plain

    def readable(self) -> bool:
        """Return True: the stream is for input."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from one piece of input; raise DamagedError."""
        while not (data := self._unpacker.read(len(buffer))):
            if self._unpacker.ended:
                return 0
            self._unpacker.feed(self._read(PIECE))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the input."""
        if not self.closed:
            self._close()
        super().close()
