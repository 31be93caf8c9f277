"""Compressed inputs, recognised by their first bytes: gzip, xz and bzip2 are read, others named.

A stream is read to its end, so that its checksum is compared; what follows the compressed data and
is not compressed data is an error. Memory does not grow with what a small file unpacks to.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s2st.errors import DataError

MOST_DICTIONARY = 1 << 28  # bytes an .xz file may ask for; `xz -9` needs 65 MiB
PIECE = 1 << 16  # compressed bytes read together
_BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")  # of none: the end


class DamagedError(OSError):
    """Compressed data that are damaged, cut short or followed by something else."""


@dataclass(frozen=True)
class Format:
    """A way to compress.

    Attributes:
        name: as users know it.
        starts: first bytes of its files, one of these; none is the beginning of a text.
        unpack: the command that unpacks a file to standard output.
        make: makes what unpacks one stream; None where s2st does not read the format.
        suffix: of its files' names, where a file so named must hold compressed data.
    """

    name: str
    starts: tuple[bytes, ...]
    unpack: str
    make: Callable[[], Any] | None = None
    suffix: str = ""


FORMATS = (
    Format("gzip", (b"\x1f\x8b",), "gzip -dc", lambda: zlib.decompressobj(31), ".gz"),
    Format(
        "xz", (b"\xfd7zXZ\x00",), "xz -dc",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MOST_DICTIONARY), ".xz",
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


def recognise(head: bytes) -> tuple[Format | None, bool]:
    """The format of an input that begins so, None for text; and whether more bytes may tell."""
    for form in FORMATS:
        if head.startswith(form.starts):
            return form, False
    more = any(start.startswith(head) for form in FORMATS for start in form.starts)
    return None, more


def suffix_of(name: str) -> str:
    """The suffix of a name that says that its content is compressed, else ""."""
    return next((form.suffix for form in FORMATS if form.suffix and name.endswith(form.suffix)), "")


class Unpacker:
    """Turns the bytes of one input into plain ones; those of an input that is plain stay.

    Bytes go in by `give`, an empty piece being the end, and out by `take`.

    Args:
        name: of the input, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._given = b""
        self.ended = False
        self._form: Format | None = None
        self._stream: Any = None  # of the member that is being read
        self._members = 0
        self.known = False  # whether it is known if, and how, the input is compressed

    def give(self, data: bytes) -> None:
        """More of the input, or, where `data` is empty, its end.

        Raises:
            DataError: it is compressed in a way that s2st does not read, or not compressed though
                its name says so.
        """
        self._given += data
        self.ended = not data
        if self.known:
            return
        self._form, more = recognise(self._given)
        self.known = self.ended or not more
        if not self.known:
            return
        suffix = suffix_of(self._name)
        if self._form is None:
            if suffix:
                what = "empty" if not self._given else "damaged, or not compressed"
                raise DataError(f"{what}; its name ends in {suffix}", self._name, 1)
        else:
            _refuse_unreadable(self._form, self._name)

    @property
    def plain(self) -> bool:
        """Whether the input is known to be plain."""
        return self.known and self._form is None

    def take(self, most: int) -> bytes:
        """Up to `most` plain bytes; none where more has to be given, or at the end.

        Raises:
            DamagedError: damaged or cut short.
        """
        if not self.known:
            return b""
        if self._form is None:
            data, self._given = self._given[:most], self._given[most:]
            return data
        try:
            return self._unpacked(most)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise DamagedError(f"damaged {self._form.name} data ({error})") from error

    def _unpacked(self, most: int) -> bytes:
        form = self._form
        assert form is not None
        assert form.make is not None
        while True:
            if self._stream is None:
                if self._members:
                    self._given = self._given.lstrip(b"\0")  # padding, of tapes and of xz
                if not self._given:
                    return b""
                if not any(_alike(self._given, start) for start in form.starts):
                    raise DamagedError("other data follow it")
                self._stream = form.make()
            stream = self._stream
            data: bytes = stream.decompress(self._given, most)
            self._given = getattr(stream, "unconsumed_tail", b"")  # of zlib; others keep it
            if stream.eof:
                self._given, self._stream = stream.unused_data, None
                self._members += 1
            if data:
                return data
            if self._stream is not None and getattr(stream, "needs_input", True):
                if self.ended:
                    raise DamagedError("cut short")
                return b""


def _alike(data: bytes, start: bytes) -> bool:
    """Whether data begin so, as far as they are there."""
    return data.startswith(start) or start.startswith(data)


def _refuse_unreadable(form: Format, name: str) -> None:
    if form.make is None:
        message = f"{form.name} data, not text; unpack it first: {form.unpack} FILE > TEXT"
        raise DataError(message, name, 1)


class UnpackedStream(io.RawIOBase):
    """The plain bytes of a stream that may be compressed.

    Args:
        unpacker: which may have been given the first bytes.
        read: gives up to so many bytes of the stream, none at its end.
        close: closes it.
    """

    def __init__(
        self, unpacker: Unpacker, read: Callable[[int], bytes], close: Callable[[], object]
    ) -> None:
        self._unpacker = unpacker
        self._read = read
        self._close = close

    def look(self) -> None:
        """Reads as much as tells whether it is compressed; raises as `Unpacker.give`."""
        while not self._unpacker.known:
            self._unpacker.give(self._read(PIECE))

    @property
    def packed(self) -> bool:
        """Whether it is compressed, once that is known."""
        return self._unpacker.known and not self._unpacker.plain

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer as far as one piece goes; raises DamagedError."""
        while not (data := self._unpacker.take(len(buffer))):
            if self._unpacker.ended:
                return 0
            self._unpacker.give(self._read(PIECE))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes the stream."""
        if not self.closed:
            self._close()
        super().close()
