"""Checks of single lines of text: encoding, line ends, control characters, white space."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from s2st.errors import DataError
from s2st.jobs.check.findings import BREAKS, REMARK, WARNING, Finding, Tally
from s2st.text.foreign_encodings import LEAST, describe_foreign_encoding
from s2st.text.line_files import BOM, MAX_BYTES, open_input

SEPARATORS = re.compile("[\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]|\r")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
INVISIBLE = re.compile("[\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# UTF-8 that was read as Windows-1252 or Latin-1: é becomes Ã©, ’ becomes â€™
MISREAD = re.compile("[\u00c2\u00c3][\x80-\xbf]|\u00e2\u20ac")
ENTITIES = re.compile("&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,6}|#x[0-9A-Fa-f]{1,5});|<br ?/?>")
SPACES = re.compile("^[ \t]|[ \t]$|\t|  ")
LARGE = 1 << 20  # characters of a line whose words are not listed
KINDS = (
    ("encoding", BREAKS, "{count} not UTF-8: convert the file with iconv, or use "
     "--encoding-errors replace"),
    ("too-long", BREAKS, f"{{count}} of more than {MAX_BYTES:,} bytes"),
    ("replaced", WARNING, "{count} with U+FFFD: an earlier program could not decode the text"),
    ("misread", WARNING, "{count} like UTF-8 read as Latin-1 (such as \u00c3\u00a9 for "
     "\u00e9): decode the text again"),
    ("separators", WARNING, "{count} with U+2028, a lone CR or another separator at which other "
     "programs end a line, so that the files get different numbers of lines there"),
    ("controls", WARNING, "{count} with control characters: remove them"),
    ("empty", WARNING, "{count} without text: preprocess skips such training pairs"),
    ("mixed-line-ends", WARNING, "{count} end with CR LF, the others with LF"),
    ("line-ends", REMARK, "{count} end with CR LF: s2st removes the CR"),
    ("byte-order-mark", REMARK, "a byte order mark at the start: s2st removes it"),
    ("invisible", REMARK, "{count} with characters of no width (U+200B, U+FEFF, marks of "
     "direction, soft hyphens): they make other words"),
    ("entities", REMARK, "{count} with entities such as &amp; or &apos;: unescape them, unless "
     "the model's text has them too"),
    ("spaces", REMARK, "{count} with tabs, double blanks, or blanks at an end"),
    ("long", REMARK, "{count} of more words than --max-length: preprocess skips such training "
     "pairs"),
)  # fmt: skip


def count_words(text: str) -> int:
    """Return the number of words of a line, in bounded memory."""
    if len(text) < LARGE:
        return len(text.split())
    return sum(1 for _ in re.finditer(r"\S+", text))


class TextScan:
    """Reads a file line by line and counts what is odd, without stopping at bad lines.

    Args:
        path: the file.
        max_length: words of a long line.

    Attributes:
        path: the file.
        tally: what was found.
        count: number of lines read.
    """

    def __init__(self, path: str, max_length: int) -> None:
        self.path = path
        self.max_length = max_length
        self.tally = Tally()
        self.count = 0
        self._stopped: Finding | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines as text; bytes that are not UTF-8 become U+FFFD.

        Damaged data end the lines and become a finding.

        Raises:
            InputMissingError: the file cannot be read.
        """
        try:
            with open_input(self.path) as stream:
                yield from self._decoded(stream)
        except DataError as error:
            place = str(DataError("", error.path, error.line))
            text = str(error).removeprefix(place)
            lines = () if error.line is None else (error.line,)
            self._stopped = Finding(BREAKS, "unreadable", self.path, text, 1, lines)
        except OSError as error:
            text = f"reading failed: {error}"
            self._stopped = Finding(BREAKS, "unreadable", self.path, text, 1, (self.count + 1,))

    def findings(self) -> Iterator[Finding]:
        """Yield what was found in the lines that were read."""
        if self._stopped is not None:
            yield self._stopped
        crlf = self.tally.counts.pop("crlf", 0)
        if crlf:  # one kind or the other
            kind = "line-ends" if crlf >= self.count - 1 else "mixed-line-ends"
            self.tally.counts[kind] = crlf
            self.tally.lines[kind] = self.tally.lines.pop("crlf")
        if self.count == 0 and self._stopped is None:
            yield Finding(BREAKS, "no-lines", self.path, "no lines in the file", 0)
        yield from self.tally.findings(self.path, KINDS)

    def _decoded(self, stream: BinaryIO) -> Iterator[str]:
        before, is_checked = 0, False
        while raw := stream.readline(MAX_BYTES + 1):
            self.count += 1
            if not is_checked:
                message = describe_foreign_encoding(raw, before)
                if message:
                    raise DataError(message, self.path, self.count)
                before += len(raw)
                is_checked = len(raw) > LEAST
            if len(raw) > MAX_BYTES:
                self.tally.add("too-long", self.count)
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(MAX_BYTES)
                yield ""
                continue
            yield self._line(raw)

    def _line(self, raw: bytes) -> str:
        if self.count == 1 and raw.startswith(BOM):
            self.tally.add("byte-order-mark", 1)
            raw = raw[len(BOM) :]
        if raw.endswith(b"\r\n"):
            self.tally.add("crlf", self.count)
            raw = raw[:-2]
        try:
            text = raw.decode().removesuffix("\n")
        except UnicodeDecodeError:
            self.tally.add("encoding", self.count)
            return raw.decode("utf-8", "replace").removesuffix("\n")
        self._inspect(text)
        return text

    def _inspect(self, text: str) -> None:
        found = []
        if not text.isprintable():
            found += [
                kind
                for kind, pattern in (
                    ("separators", SEPARATORS), ("controls", CONTROLS), ("invisible", INVISIBLE),
                )
                if pattern.search(text)
            ]  # fmt: skip
        if not text.isascii():
            found += ["replaced"] if "\ufffd" in text else []
            found += ["misread"] if MISREAD.search(text) else []
        if "&" in text or "<" in text:
            found += ["entities"] if ENTITIES.search(text) else []
        words = count_words(text)
        if not words:
            found.append("empty")
        elif SPACES.search(text):
            found.append("spaces")
        if words > self.max_length:
            found.append("long")
        for kind in found:
            self.tally.add(kind, self.count)
