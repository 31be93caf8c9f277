"""Fonts of figures: find installed fonts for the characters of all labels, or warn.

matplotlib draws a box for a character that its font lacks. This module searches the machine for
fonts with such characters and adds them to the figure's font families.
"""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger("s2st")
MAX_FILES = 500  # largest number of font files to open
SHOWN = 8  # largest number of characters in a warning
# parts of file names, in the order in which fonts are tried
PREFERRED = (
    "notosanscjk", "nanumgothic", "sourcehansans", "malgun", "applesdgothicneo", "notosanskr",
    "pingfang", "hiraginosans", "msyh", "yugoth", "wqy", "ipag", "takaogothic", "undotum",
    "droidsansfallback", "arialunicode", "notosans-", "notosans", "symbola", "segoeui", "notoemoji",
    "unifont", "sans", "gothic",
)  # fmt: skip
OTHER_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "medium", "mono", "serif")
NO_FONTS = ("lastresort",)  # this font has a box for every character
CJK = ("CJK ", "HANGUL ", "HIRAGANA ", "KATAKANA", "BOPOMOFO ", "IDEOGRAPHIC ", "FULLWIDTH ")
# Debian's packages
CJK_PACKAGE, SYMBOLS_PACKAGE, OTHER_PACKAGE = "fonts-noto-cjk", "fonts-symbola", "fonts-noto-core"

_warned: set[str] = set()  # packages that this process has named in a warning


@contextmanager
def fonts_for(texts: Iterable[str], warn: bool = True) -> Iterator[list[str]]:
    """Find the font families that a figure needs besides its default font.

    matplotlib knows the families for the duration of the context.

    Args:
        texts: all texts of the figure.
        warn: whether to warn, once per process, of characters that no installed font has.

    Yields:
        Names of font families, the best one first.
    """
    from matplotlib.font_manager import FontProperties, fontManager

    default_font = fontManager.findfont(FontProperties())
    missing = _missing(default_font, set().union(*texts))
    known: list[Any] = list(fontManager.ttflist)
    families: list[str] = []
    try:
        for path in _candidates(known) if missing else ():
            found = missing - _missing(path, missing)
            if found:
                family = _family(path, known)
                still = missing if family is None else _missing(_resolved(family), missing)
                if family is not None and still != missing:
                    families.append(family)
                    missing = still
            if not missing:
                break
        if warn:
            _warn_missing(missing)
        yield families
    finally:
        fontManager.ttflist[:] = known


def text_width(text: str) -> int:
    """Return the width of a text in letters; wide East Asian letters count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _missing(path: str | None, characters: Iterable[str]) -> set[str]:
    """Return the characters that a font lacks, all of them if the font cannot be read."""
    from matplotlib.ft2font import FT2Font

    wanted = {one for one in characters if _is_drawn(one)}
    if path is None or not wanted:
        return wanted
    try:
        font: Any = FT2Font(path)
        found = {one for one in wanted if font.get_char_index(ord(one))}
        if found:
            font.set_size(10, 72)
            font.load_char(ord(min(found)))  # fails for color bitmap fonts
    except (OSError, RuntimeError, ValueError):
        return wanted
    return wanted - found


def _is_drawn(character: str) -> bool:
    """Whether a character is visible, so that a font can have a glyph for it."""
    selector = "\ufe00" <= character <= "\ufe0f"
    return not selector and unicodedata.category(character)[0] not in "CZ"


def _candidates(known: Sequence[Any]) -> list[str]:
    """Return font files, the most promising first, also those not in matplotlib's cache."""
    paths = {entry.fname for entry in known} | set(_system_fonts())
    return sorted(filter(_is_font, paths), key=_rank)[:MAX_FILES]


def _system_fonts() -> list[str]:
    from matplotlib.font_manager import findSystemFonts

    return findSystemFonts()


def _is_font(path: str) -> bool:
    return not any(part in Path(path).name.lower() for part in NO_FONTS)


def _rank(path: str) -> tuple[int, int, str]:
    name = Path(path).stem.lower().replace(" ", "")
    place = next((i for i, part in enumerate(PREFERRED) if part in name), len(PREFERRED))
    return place, sum(style in name for style in OTHER_STYLES), path


def _family(path: str, known: Sequence[Any]) -> str | None:
    """Return matplotlib's family name of a font file; register the file if necessary."""
    from matplotlib.font_manager import fontManager

    if all(entry.fname != path for entry in known):
        try:
            fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError, KeyError):
            return None
    return next((str(entry.name) for entry in fontManager.ttflist if entry.fname == path), None)


def _resolved(family: str) -> str | None:
    """Return the file that matplotlib uses for a family."""
    from matplotlib.font_manager import FontProperties, fontManager

    try:
        return str(fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False))
    except ValueError:
        return None


def _package(character: str) -> str:
    """Return the Debian package with a font for a character."""
    if unicodedata.name(character, "").startswith(CJK):
        return CJK_PACKAGE
    return SYMBOLS_PACKAGE if unicodedata.category(character)[0] == "S" else OTHER_PACKAGE


def _warn_missing(missing: set[str]) -> None:
    """Warn of characters without a font, once per package that has one."""
    packages = sorted({_package(one) for one in missing} - _warned)
    if not packages:
        return
    _warned.update(packages)
    shown = sorted(one for one in missing if _package(one) in packages)
    more = ", ..." if len(shown) > SHOWN else ""
    log.warning(
        "PNG figures show boxes for %s%s: no installed font has these characters; install %s "
        "(package names of Debian and Ubuntu). The SVG files are correct",
        " ".join(shown[:SHOWN]), more, " and ".join(packages),
    )  # fmt: skip
