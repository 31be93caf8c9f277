"""Damage for valid files, drawn from a `random.Random`: one generator for hypothesis and `run.py`.

hypothesis' own `st.randoms()` is such a Random whose draws it can shrink.
"""

import json
import re
from hashlib import sha256
from random import Random
from typing import Any

NUMBERS = [
    b"-1", b"0", b"2", b"-0", b"+1", b"1e999", b"-1e999", b"nan", b"-nan", b"inf", b"-inf", b"1_0",
    b"0x10", b"0b1", b"1.", b".5", b"1e", b"1,5", b"99999999999999999999", b"1152921504606846976",
    b"9" * 5000, b"0x" + b"f" * 5000, "\u0661".encode(), "\u00b2".encode(), b"true", b"null", b"",
    b"2000-01-01", b"[1]", b'"1"',
]  # fmt: skip
PIECES = [
    b"|||", b" ||| ", b"||", b"|", b"\t", b" ", b"  ", b"=", b"= ", b"A= ", b"\r", b"\r\n", b"\n",
    b"\n\n", b'"', b"'", b'"""', b"[", b"]", b"[[", b"{", b"}", b",", b":", b"#", b"\\", b"\\u0000",
    b"\\ud800", b"\\n", b"..", b"../", b"/", b"\0", b"\xff", b"\xc3", b"\x0c", b"\x85",
    "\u2028".encode(), "\u0085".encode(), "\u00a0".encode(), b"\xef\xbb\xbf", b"[" * 3000,
    b"{'a':" * 3000, b'{"a":' * 3000, b"[{" + b"a." * 1900 + b"a=1}]", b"x" * 5000, b"(" * 500,
    b"{}", b"[]", b'{"a": 1}', b"<s>", b"__proto__", b"-", b"+",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 1, 3, 1.5, 1e308, 10**30, "", "x", "fr", "..", "../x", "/x", "a/b", "\0",
    "en\0", "\ud800", "a\nb", "x" * 3000, [], {}, [[]], ["x"], [1, 2], {"a": 1}, {"../x": {}},
]  # fmt: skip
NUMBER = re.compile(rb"[0-9][0-9.e+-]*")
DELIMITER = re.compile(rb"\|\|\||[][{}(),:=\"'\n\t# ]")


def mutate(draw: Random, data: bytes) -> bytes:
    """The file after one to four changes."""
    for _ in range(draw.randint(1, 4)):
        data = draw.choice(CHANGES)(draw, data)
    return data


def mutate_json(draw: Random, data: bytes) -> bytes:
    """One value of a manifest replaced, left out, renamed or put in another's place, and sealed."""
    whole = json.loads(data)
    whole.pop("manifest_sha256", None)
    places = _places(whole)
    container, key = draw.choice(places)
    change = draw.randrange(4)
    if change == 0:
        del container[key]
    elif change == 1 and isinstance(container, dict):
        container[draw.choice(["", "x", "\0", "..", "../x", "a\nb", "\ud800"])] = container.pop(key)
    elif change == 2:
        other, name = draw.choice(places)
        container[key] = json.loads(json.dumps(other[name]))
    else:
        container[key] = draw.choice(VALUES)
    body = json.dumps(whole, indent=1).removesuffix("\n}").encode()
    return body + f',\n "manifest_sha256": "{sha256(body).hexdigest()}"\n}}\n'.encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside a JSON value."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    found = [(value, key) for key in keys]
    return found + [place for container, key in found for place in _places(container[key])]


def _span(draw: Random, data: bytes) -> tuple[int, int]:
    """Start and end of a short stretch, which may be empty."""
    start = draw.randint(0, len(data))
    return start, min(len(data), start + draw.choice([0, 1, 2, 4, 8, 40, 500]))


def flip(draw: Random, data: bytes) -> bytes:
    """One bit the other way round."""
    changed = bytearray(data)
    if changed:
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def set_byte(draw: Random, data: bytes) -> bytes:
    """Another byte in place of one."""
    changed = bytearray(data)
    if changed:
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def insert(draw: Random, data: bytes) -> bytes:
    """A piece that means something in one of the formats."""
    at = draw.randint(0, len(data))
    return data[:at] + draw.choice(PIECES) + data[at:]


def delete(draw: Random, data: bytes) -> bytes:
    """A stretch left out."""
    start, end = _span(draw, data)
    return data[:start] + data[end:]


def splice(draw: Random, data: bytes) -> bytes:
    """A stretch copied to another place."""
    start, end = _span(draw, data)
    at = draw.randint(0, len(data))
    return data[:at] + data[start:end] + data[at:]


def truncate(draw: Random, data: bytes) -> bytes:
    """The end cut off."""
    return data[: draw.randint(0, len(data))]


def zero_tail(draw: Random, data: bytes) -> bytes:
    """Zeros from somewhere on, as a file looks after a power loss."""
    kept = draw.randint(0, len(data))
    return data[:kept] + b"\0" * (len(data) - kept)


def swap_lines(draw: Random, data: bytes) -> bytes:
    """Two lines in each other's place."""
    lines = data.split(b"\n")
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def odd_number(draw: Random, data: bytes) -> bytes:
    """Another number, or what is nearly one, in place of a number."""
    return _replace_one(draw, data, NUMBER, NUMBERS)


def odd_delimiter(draw: Random, data: bytes) -> bytes:
    """Another delimiter in place of one."""
    return _replace_one(draw, data, DELIMITER, PIECES)


def _replace_one(draw: Random, data: bytes, what: "re.Pattern[bytes]", by: list[bytes]) -> bytes:
    found = list(what.finditer(data))
    if not found:
        return data
    match = draw.choice(found)
    return data[: match.start()] + draw.choice(by) + data[match.end() :]


CHANGES = [
    flip, set_byte, insert, delete, splice, truncate, zero_tail, swap_lines, odd_number,
    odd_delimiter, odd_number, odd_delimiter,
]  # fmt: skip
