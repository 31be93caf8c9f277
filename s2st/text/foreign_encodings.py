"""Detection of UTF-16, UTF-32 and tar archives by the first bytes of an input.

UTF-16 without a byte order mark is recognized by its NUL bytes: every second byte of Latin letters,
spaces and line ends is NUL.
"""

BOMS = (  # UTF-32 first, because its mark starts with that of UTF-16
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
LEAST = 6  # bytes that can show a pattern of NULs
_INSPECTED = 1 << 12  # bytes of a line
_TAR = slice(257, 262)


def describe_foreign_encoding(raw: bytes, before: int = 0) -> str:
    """Return a message that names a foreign encoding and its conversion; "" for UTF-8.

    Args:
        raw: one of the first lines, up to a newline byte, which may be half of a character.
        before: number of bytes before the line.
    """
    if not before and raw[_TAR] == b"ustar":
        return "a tar archive, not text; unpack it first: tar xf FILE"
    for mark, name in BOMS:
        if not before and raw.startswith(mark):
            return _convert(name)
    content = raw.removesuffix(b"\n").removesuffix(b"\r")[:_INSPECTED]
    name = _by_nuls(content, before) if len(content) >= LEAST and b"\0" in content else ""
    return _convert(name) if name else ""


def _convert(name: str) -> str:
    order = "" if name in ("UTF-16", "UTF-32") else " without a byte order mark"
    return f"{name[:6]} text{order}, not UTF-8; convert it: iconv -f {name} -t UTF-8 FILE > TEXT"


def _by_nuls(content: bytes, before: int) -> str:
    """Return the encoding suggested by the positions of NUL and control bytes, or ""."""
    quarters = [content[(first - before) % 4 :: 4] for first in range(4)]
    nuls = [quarter.count(0) for quarter in quarters]
    share = sum(nuls) / len(content)
    if 0.6 < share < 0.85:  # three of four bytes of UTF-32
        return "UTF-32BE" if nuls[0] else "UTF-32LE"
    even, odd = nuls[0] + nuls[2], nuls[1] + nuls[3]
    name, high, low = ("UTF-16LE", 1, 0) if odd > even else ("UTF-16BE", 0, 1)
    # in most alphabets the high byte is a control code; UTF-8 text never has one at every position
    if _controls(quarters, high) >= 0.9 and _controls(quarters, low) <= 0.2:
        return name
    if sum(nuls) >= 2 and share >= 1 / 16 and not (even and odd) and not _is_utf8(content):
        return name
    return ""


def _controls(quarters: list[bytes], first: int) -> float:
    """Return the share of control codes among every second byte."""
    chosen = quarters[first] + quarters[first + 2]
    return sum(byte < 32 for byte in chosen) / max(1, len(chosen))


def _is_utf8(content: bytes) -> bool:
    try:
        content[:-3].decode("utf-8")  # the last character may be incomplete
    except UnicodeDecodeError:
        return False
    return True
