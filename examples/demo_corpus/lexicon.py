"""Bilingual lexicon of the demo: closed word classes, and look-up by semantic tag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from .adjectives import ADJECTIVES, PREDICATIVES
from .nouns import NOUNS
from .verbs import DATIVES, INDIRECTS, INTRANSITIVES, REPORTING, TRANSITIVES
from .words import Adjective, Noun, Phrasing, Profession, Verb


@dataclass(frozen=True)
class Adverb:
    """An adverb beside the finite verb; in French a negative one surrounds the verb."""

    english: str
    french: str
    negative: bool = False


NOT = Adverb("not", "pas", negative=True)
NEVER = Adverb("never", "jamais", negative=True)
NO_LONGER = Adverb("no longer", "plus", negative=True)
ALREADY = Adverb("already", "déjà")
FREQUENCY = (
    Adverb("often", "souvent"),
    Adverb("always", "toujours"),
    Adverb("sometimes", "parfois"),
    Adverb("rarely", "rarement"),
    Adverb("also", "aussi"),
)

MANNER = (
    Phrasing("slowly", "lentement"),
    Phrasing("quickly", "rapidement"),
    Phrasing("carefully", "prudemment"),
    Phrasing("gently", "doucement"),
)

PRESENT_TIMES = (
    Phrasing("every day", "tous les jours"),
    Phrasing("in the morning", "le matin"),
    Phrasing("in the evening", "le soir"),
    Phrasing("on sundays", "le dimanche"),
)
NOW = Phrasing("now", "maintenant")
PAST_TIMES = (
    Phrasing("yesterday", "hier"),
    Phrasing("last week", "la semaine dernière"),
    Phrasing("this morning", "ce matin"),
    Phrasing("last year", "l' année dernière"),
)
FUTURE_TIMES = (
    Phrasing("tomorrow", "demain"),
    Phrasing("next week", "la semaine prochaine"),
    Phrasing("tonight", "ce soir"),
    Phrasing("next year", "l' année prochaine"),
)

IN = Phrasing("in", "dans")
ON = Phrasing("on", "sur")
AT = Phrasing("at", "à")
TO = Phrasing("to", "à")
BEHIND = Phrasing("behind", "derrière")
UNDER = Phrasing("under", "sous")
NEAR = Phrasing("near", "près de")
NEXT_TO = Phrasing("next to", "à côté de")
IN_FRONT_OF = Phrasing("in front of", "devant")
FAR_FROM = Phrasing("far from", "loin de")
WITH = Phrasing("with", "avec")

FIXED_PLACES = (
    Phrasing("in paris", "à paris"),
    Phrasing("in france", "en france"),
    Phrasing("in canada", "au canada"),
    Phrasing("in italy", "en italie"),
    Phrasing("at home", "à la maison"),
    Phrasing("abroad", "à l' étranger"),
)

AND = Phrasing("and", "et")
BUT = Phrasing("but", "mais")
BECAUSE = Phrasing("because", "parce que")
WHEN = Phrasing("when", "quand")
WHILE = Phrasing("while", "pendant que")
IF = Phrasing("if", "si")

# "to be hungry" is "avoir faim": states that French expresses with avoir.
STATES = (
    Phrasing("hungry", "faim"),
    Phrasing("thirsty", "soif"),
    Phrasing("afraid", "peur"),
    Phrasing("sleepy", "sommeil"),
    Phrasing("cold", "froid"),
)
STATES_OF_PERSONS = (*STATES, Phrasing("right", "raison"), Phrasing("wrong", "tort"))
DEGREES = (Phrasing("very", "très"), Phrasing("too", "trop"))

PROFESSIONS = (
    Profession("baker", "bakers", "boulanger", "boulangère"),
    Profession("nurse", "nurses", "infirmier", "infirmière"),
    Profession("singer", "singers", "chanteur", "chanteuse"),
    Profession("farmer", "farmers", "fermier", "fermière"),
    Profession("student", "students", "étudiant", "étudiante"),
    Profession("lawyer", "lawyers", "avocat", "avocate"),
    Profession("doctor", "doctors", "médecin", "médecin"),
    Profession("journalist", "journalists", "journaliste", "journaliste"),
    Profession("dancer", "dancers", "danseur", "danseuse"),
)

_ENGLISH_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_FRENCH_UNITS = """
zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize
dix-sept dix-huit dix-neuf
"""
# Seventy and ninety count on from sixty and eighty.
_FRENCH_TENS = "vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt"


def _check_number(number: int) -> None:
    if not 1 <= number <= 99:
        raise ValueError(f"a number word needs a number from 1 to 99, not {number}")


def english_number(number: int) -> str:
    """Return the English word of a number from 1 to 99 ("twenty-one"), or raise ValueError."""
    _check_number(number)
    if number < 20:
        return _ENGLISH_UNITS.split()[number]
    tens, unit = divmod(number, 10)
    word = _ENGLISH_TENS.split()[tens - 2]
    return f"{word}-{_ENGLISH_UNITS.split()[unit]}" if unit else word


def french_number(number: int, gender: str = "m") -> str:
    """Return the French word of a number from 1 to 99, with the hyphens of the 1990 spelling.

    ``gender`` is that of the noun counted, seen in 1, 21, 31... ("vingt-et-une"), never in 71 and
    91, which end in "onze". Raises ValueError outside 1 to 99.
    """
    _check_number(number)
    if number < 20:
        word = _FRENCH_UNITS.split()[number]
    elif number == 80:
        word = "quatre-vingts"
    else:
        tens = number // 10
        # Seventy and ninety count on from sixty and eighty: their rest runs from 10 to 19.
        rest = number - 10 * (tens - (tens in (7, 9)))
        joint = "-et-" if rest in (1, 11) and tens < 8 else "-"
        word = _FRENCH_TENS.split()[tens - 2] + (
            joint + _FRENCH_UNITS.split()[rest] if rest else ""
        )
    if gender == "f" and number % 10 == 1 and number not in (11, 71, 91):
        word += "e"
    return word


def _meets(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return any(tag in other for tag in one)


@cache
def nouns_with(tags: tuple[str, ...]) -> tuple[Noun, ...]:
    """Return the nouns with any of the tags, in the order of the table."""
    return tuple(noun for noun in NOUNS if _meets(tags, noun.tags))


@cache
def adjectives_of(noun: Noun, predicative: bool = False) -> tuple[Adjective, ...]:
    """Return the adjectives that suit a noun; ``predicative`` adds those used only after be."""
    pool = ADJECTIVES + PREDICATIVES if predicative else ADJECTIVES
    return tuple(adjective for adjective in pool if _meets(adjective.tags, noun.tags))


@cache
def verbs_of_subject(kind: str, noun: Noun) -> tuple[Verb, ...]:
    """Return the verbs of a kind ("transitive", "dative", ...) that accept a noun as subject."""
    pools = {
        "transitive": TRANSITIVES,
        "dative": DATIVES,
        "indirect": INDIRECTS,
        "intransitive": INTRANSITIVES,
        "reporting": REPORTING,
    }
    return tuple(verb for verb in pools[kind] if _meets(verb.subjects, noun.tags))


@cache
def verbs_of_object(noun: Noun, passive: bool = False) -> tuple[Verb, ...]:
    """Return the transitive verbs that accept a noun as direct object; with ``passive``, only
    those that have a passive."""
    return tuple(
        verb
        for verb in TRANSITIVES
        if _meets(verb.objects, noun.tags) and (not passive or "passive" in verb.flags)
    )
