"""Fonts for figures: whether the machine has the characters of a label, and what to do if not.

matplotlib draws a box for a character that its font lacks. Fonts that have such characters are
looked for on the machine, and stand in the list of families after the figure's own.
"""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger("s2st")
MOST_FILES = 500  # fonts that are opened in search of a character
SHOWN = 8  # characters named in a warning
# parts of file names, those that are tried first in front
PREFERRED = (
    "notosanscjk", "nanumgothic", "sourcehansans", "malgun", "applesdgothicneo", "notosanskr",
    "pingfang", "hiraginosans", "msyh", "yugoth", "wqy", "ipag", "takaogothic", "undotum",
    "droidsansfallback", "arialunicode", "notosans-", "notosans", "symbola", "segoeui", "notoemoji",
    "unifont", "sans", "gothic",
)  # fmt: skip
OTHER_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "medium", "mono", "serif")
NO_FONTS = ("lastresort",)  # has a box for every character
CJK = ("CJK ", "HANGUL ", "HIRAGANA ", "KATAKANA", "BOPOMOFO ", "IDEOGRAPHIC ", "FULLWIDTH ")
# Debian's packages
CJK_PACKAGE, SYMBOLS_PACKAGE, OTHER_PACKAGE = "fonts-noto-cjk", "fonts-symbola", "fonts-noto-core"

_told: set[str] = set()  # what a process has warned of


@contextmanager
def fonts_for(texts: Iterable[str], told: bool = True) -> Iterator[list[str]]:
    """The families that a figure needs beside its own font; matplotlib knows them inside.

    Args:
        texts: all that the figure shows.
        told: warn of characters that no font of the machine has, once a process.

    Yields:
        Names of font families, the best one first.
    """
    from matplotlib.font_manager import FontProperties, fontManager

    own = fontManager.findfont(FontProperties())
    missing = _missing(own, set().union(*texts))
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
        if told:
            _tell(missing)
        yield families
    finally:
        fontManager.ttflist[:] = known


def text_width(text: str) -> int:
    """How many letters wide a text is; those of East Asia count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _missing(path: str | None, characters: Iterable[str]) -> set[str]:
    """The characters that a font cannot draw; all where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    wanted = {one for one in characters if _is_drawn(one)}
    if path is None or not wanted:
        return wanted
    try:
        font: Any = FT2Font(path)
        found = {one for one in wanted if font.get_char_index(ord(one))}
        if found:
            font.set_size(10, 72)
            font.load_char(ord(min(found)))  # fails for a font of coloured pictures
    except (OSError, RuntimeError, ValueError):
        return wanted
    return wanted - found


def _is_drawn(character: str) -> bool:
    """Whether a character has a picture that some font may have."""
    selector = "\ufe00" <= character <= "\ufe0f"
    return not selector and unicodedata.category(character)[0] not in "CZ"


def _candidates(known: Sequence[Any]) -> list[str]:
    """Files of fonts, the likeliest first, also those that matplotlib's cache does not have yet."""
    paths = {entry.fname for entry in known} | set(_system_fonts())
    return sorted(filter(_is_font, paths), key=_rank)[:MOST_FILES]


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
    """The name by which matplotlib finds a font's file, which it is told of if need be."""
    from matplotlib.font_manager import fontManager

    if all(entry.fname != path for entry in known):
        try:
            fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError, KeyError):
            return None
    return next((str(entry.name) for entry in fontManager.ttflist if entry.fname == path), None)


def _resolved(family: str) -> str | None:
    """The file that matplotlib takes for a family."""
    from matplotlib.font_manager import FontProperties, fontManager

    try:
        return str(fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False))
    except ValueError:
        return None


def _package(character: str) -> str:
    """The package of Debian that has a character."""
    if unicodedata.name(character, "").startswith(CJK):
        return CJK_PACKAGE
    return SYMBOLS_PACKAGE if unicodedata.category(character)[0] == "S" else OTHER_PACKAGE


def _tell(missing: set[str]) -> None:
    """Warns of characters without a font, once for each package that has some."""
    packages = sorted({_package(one) for one in missing} - _told)
    if not packages:
        return
    _told.update(packages)
    shown = sorted(one for one in missing if _package(one) in packages)
    more = ", ..." if len(shown) > SHOWN else ""
    log.warning(
        "PNG figures have boxes for %s%s: no font of this machine has them; install %s (names of "
        "Debian and Ubuntu). The SVG files are right",
        " ".join(shown[:SHOWN]), more, " and ".join(packages),
    )  # fmt: skip
