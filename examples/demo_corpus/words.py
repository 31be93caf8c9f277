"""Entries of the demo's bilingual lexicon: nouns, adjectives and verbs.

The tables beside this module (``nouns``, ``adjectives``, ``verbs``) are written as short text
rows; the ``parse_*`` functions here turn a row into an entry and fill in every regular form, so
that a row names only what is irregular.
"""

from __future__ import annotations

from dataclasses import dataclass

# A mute h elides ("l' homme"); these words start with an aspirate h, or are numbers that
# behave so ("le onze"), and keep the full article before them.
_NO_ELISION_WORDS = """
hache haches haricot haricots haut haute hauts hautes hérisson hérissons hibou hiboux huit onze
"""
NO_ELISION = frozenset(_NO_ELISION_WORDS.split())
VOWELS = "aeiouyàâäéèêëîïôöûùœæh"


def elides(word: str) -> bool:
    """Return whether the word before a French word elides ("l' eau", but "le hibou")."""
    return word[:1] in VOWELS and word not in NO_ELISION and bool(word)


@dataclass(frozen=True)
class Noun:
    """A noun in both languages; ``gender`` is "m" or "f", ``tags`` its semantic classes."""

    english: str
    english_plural: str
    french: str
    french_plural: str
    gender: str
    tags: tuple[str, ...]
    mass: bool = False
    proper: bool = False

    @property
    def is_person(self) -> bool:
        """Return whether English refers to it with he, she or who."""
        return "person" in self.tags


@dataclass(frozen=True)
class Adjective:
    """An adjective; ``french`` holds m. sing., f. sing., m. plur., f. plur.

    ``comparative`` is the English one, "more" when it is that word's, "" when there is none;
    ``rank`` orders adjectives before an English noun.
    """

    english: str
    comparative: str
    french: tuple[str, str, str, str]
    before_vowel: str
    prenominal: bool
    rank: int
    tags: tuple[str, ...]

    def form(self, gender: str, plural: bool) -> str:
        """The French form that agrees with a gender and a number."""
        return self.french[2 * plural + (gender == "f")]


@dataclass(frozen=True)
class FrenchVerb:
    """A French verb: its present and the forms that the other tenses are built from."""

    infinitive: str
    je: str
    il: str
    nous: str
    ils: str
    participle: str
    with_etre: bool = False
    reflexive: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb in both languages, with its possible subjects and objects and its properties.

    ``particle`` follows the English verb ("look *at*"); flags are ``passive``, ``stative`` (no
    progressive, French imperfect for the English past), ``manner`` (takes a manner adverb),
    ``place`` (takes a place), ``to`` (has a recipient), ``indirect`` (French object with à) and
    ``goal`` (goes to a place).
    """

    base: str
    third: str
    past: str
    participle: str
    ing: str
    particle: str
    french: FrenchVerb
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Profession:
    """A profession: an English noun, and the French one in both genders and numbers."""

    english: str
    english_plural: str
    masculine: str
    feminine: str


@dataclass(frozen=True)
class Phrasing:
    """A fixed expression in both languages, each side space-tokenized."""

    english: str
    french: str


def rows(table: str) -> list[list[str]]:
    """Yield the cells of each row of a ``|``-separated text table; skip blank lines."""
    return [[c.strip() for c in line.split("|")] for line in table.splitlines() if line.strip()]


def english_plural(noun: str) -> str:
    """The regular English plural."""
    if noun.endswith(("s", "x", "ch", "sh", "z")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def french_plural(noun: str) -> str:
    """The regular French plural of a noun or of a masculine adjective."""
    if noun.endswith(("s", "x", "z")):
        return noun
    if noun.endswith("al"):
        return noun[:-1] + "ux"
    return noun + ("x" if noun.endswith("eau") else "s")


def parse_noun(cells: list[str], mass: bool = False, proper: bool = False) -> Noun:
    """A noun from "english[/plural] | french[/plural] | gender | tags"."""
    english, _, plural_en = cells[0].partition("/")
    french, _, plural_fr = cells[1].partition("/")
    return Noun(
        english=english,
        english_plural=plural_en or english_plural(english),
        french=french,
        french_plural=plural_fr or french_plural(french),
        gender=cells[2],
        tags=tuple(cells[3].split()),
        mass=mass,
        proper=proper,
    )


def feminine(masculine: str) -> str:
    """The regular French feminine of an adjective."""
    if masculine.endswith("e"):
        return masculine
    if masculine.endswith("eux"):
        return masculine[:-1] + "se"
    if masculine.endswith("er"):
        return masculine[:-2] + "ère"
    return masculine + ("ne" if masculine.endswith("ien") else "e")


def parse_adjective(cells: list[str]) -> Adjective:
    """An adjective from "english [comparative] | masc. [fem. [before vowel]] | place | tags".

    The place is ``pre`` or ``post`` and the rank that orders English adjectives, as in "pre1".
    An adjective with one word in its second cell and a trailing ``=`` never changes.
    """
    english, _, comparative = cells[0].partition(" ")
    forms = cells[1].split()
    masculine = forms[0].rstrip("=")
    if forms[0].endswith("="):
        french = (masculine, masculine, masculine, masculine)
    else:
        fem = forms[1] if len(forms) > 1 else feminine(masculine)
        french = (masculine, fem, french_plural(masculine), fem + "s")
    return Adjective(
        english=english,
        comparative=comparative,
        french=french,
        before_vowel=forms[2] if len(forms) > 2 else masculine,
        prenominal=cells[2].startswith("pre"),
        rank=int(cells[2][-1]),
        tags=tuple(cells[3].split()),
    )


def _third_person(base: str) -> str:
    return {"have": "has", "go": "goes"}.get(base) or english_plural(base)


def _regular_past(base: str) -> str:
    if base.endswith("e"):
        return base + "d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ied"
    return base + "ed"


def _ing(base: str) -> str:
    return (base[:-1] if base.endswith("e") and not base.endswith("ee") else base) + "ing"


def parse_french_verb(cell: str, with_etre: bool = False) -> FrenchVerb:
    """A French verb from "[se] infinitive [strong stem]" (-er verbs) or all six forms.

    The six forms are the infinitive, je, il, nous and ils of the present, and the participle;
    a hyphen that starts a form stands for the infinitive without its last two letters.
    """
    words = cell.split()
    reflexive = words[0] == "se"
    words = words[1:] if reflexive else words
    with_etre = with_etre or reflexive
    infinitive = words[0]
    stem = infinitive[:-2]
    if len(words) == 6:
        je, il, nous, ils, participle = [
            stem + form[1:] if form.startswith("-") else form for form in words[1:]
        ]
        return FrenchVerb(infinitive, je, il, nous, ils, participle, with_etre, reflexive)
    strong = words[1] if len(words) > 1 else stem
    softened = {"g": stem + "e", "c": stem[:-1] + "ç"}.get(stem[-1], stem)
    return FrenchVerb(
        infinitive=infinitive,
        je=strong + "e",
        il=strong + "e",
        nous=softened + "ons",
        ils=strong + "ent",
        participle=stem + "é",
        with_etre=with_etre,
        reflexive=reflexive,
    )


def parse_verb(cells: list[str]) -> Verb:
    """A verb from "base [past participle [ing]] [+ particle] | French | subjects | ...".

    The last two cells, objects and flags, may be empty; the flag ``être`` names the auxiliary.
    """
    english, _, particle = cells[0].partition("+")
    words = english.split()
    base = words[0]
    flags = tuple(cells[4].split())
    return Verb(
        base=base,
        third=_third_person(base),
        past=words[1] if len(words) > 1 else _regular_past(base),
        participle=words[2] if len(words) > 2 else _regular_past(base),
        ing=words[3] if len(words) > 3 else _ing(base),
        particle=particle.strip(),
        french=parse_french_verb(cells[1], with_etre="être" in flags),
        subjects=tuple(cells[2].split()),
        objects=tuple(cells[3].split()),
        flags=flags,
    )
