"""Characters that control a terminal, escaped in everything that people read."""

import re

# C0 and C1 controls, DEL, line separators, controls of writing direction, and lone surrogates
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str, keep: str = "") -> str:
    """Escape control characters as `\\xNN` or `\\uNNNN`, except those in `keep`.

    Bytes of a file name that are not UTF-8 become `\\xNN`, too.
    """

    def escape(match: re.Match[str]) -> str:
        number = ord(match[0])
        if match[0] in keep:
            return match[0]
        if 0xDC80 <= number <= 0xDCFF:
            number -= 0xDC00
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"

    return CONTROLS.sub(escape, text)
