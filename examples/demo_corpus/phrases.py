"""Random noun phrases, adjectives and places of the demo's grammar."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from . import lexicon as lex
from .trees import NounPhrase, Place
from .words import Adjective, Noun, Phrasing

T = TypeVar("T")

_OWNED_TAGS = "kin animal object clothing vehicle text picture furniture owned dish drink"
_OWNED = frozenset(_OWNED_TAGS.split())
_PORTABLE_TAGS = "food dish drink object clothing text press picture"
_PORTABLE = frozenset(_PORTABLE_TAGS.split())
_POSSESSIVES = ("my", "my", "his", "her", "our", "their")
_SINGULAR = ("the",) * 9 + ("a",) * 6 + ("this",) * 2
_PLURAL = ("the",) * 6 + ("a",) * 4 + ("this",) * 2 + ("many", "several")


class Chooser:
    """Random choices that use only ``random()``, which gives the same values in all Pythons."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def pick(self, items: Sequence[T]) -> T:
        """Choose one of the items, all equally likely."""
        return items[int(self._rng.random() * len(items))]

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._rng.random() < probability

    def number(self) -> int:
        """Choose a number from 2 to 99; half of them are small, as in real text."""
        return 2 + int(self._rng.random() * (11 if self.chance(0.5) else 98))


class PhraseSampler(Chooser):
    """Samples noun phrases without relative clauses, and places."""

    def noun_phrase(
        self,
        noun: Noun,
        *,
        plural: bool | None = None,
        definite: bool = False,
        negated: bool = False,
        plain: bool = False,
    ) -> NounPhrase:
        """Sample a phrase around a noun.

        ``plural`` None draws the number; ``definite`` keeps to the, this and possessives;
        ``negated`` leaves out what a negation makes unclear (numbers, many); ``plain`` leaves
        out adjectives and possessors.
        """
        if noun.proper:
            return NounPhrase(noun, "")
        if "single" in noun.tags:
            plural = False
        if plural is None:
            plural = not noun.mass and self.chance(0.3)
        owned = any(tag in _OWNED for tag in noun.tags)
        kin = "kin" in noun.tags
        adjectives = () if plain else self.adjectives(noun)
        if owned and not plain and self.chance(0.25 if kin else 0.1):
            return NounPhrase(
                noun, plural=plural, adjectives=adjectives[:1], possessor=self.owner(kin)
            )
        number: int | None = None
        if kin or (owned and self.chance(0.2)):
            determiner = self.pick(_POSSESSIVES)
        elif definite:
            determiner = "the" if self.chance(0.85) else "this"
        elif plural and not negated and self.chance(0.2):
            determiner, number = self.pick(("", "", "", "the")), self.number()
        else:
            choices = _PLURAL if plural else _SINGULAR
            determiner = self.pick(choices)
            if negated and determiner in ("many", "several"):
                determiner = "the"
        return NounPhrase(noun, determiner, plural, number, adjectives)

    def owner(self, of_kin: bool) -> NounPhrase:
        """Sample the possessor of something: a person; relatives own no relatives here."""
        people = lex.nouns_with(("person",))
        noun = self.pick(people)
        while of_kin and "kin" in noun.tags:
            noun = self.pick(people)
        return self.noun_phrase(noun, plural=self.chance(0.2), definite=True, plain=True)

    def adjectives(self, noun: Noun) -> tuple[Adjective, ...]:
        """Sample up to two adjectives that French can place around the noun together."""
        pool = lex.adjectives_of(noun)
        if "kin" in noun.tags:
            # "mon beau père" would sound like the father-in-law.
            pool = tuple(adjective for adjective in pool if adjective.english != "beautiful")
        if not pool or not self.chance(0.38):
            return ()
        first = self.pick(pool)
        if self.chance(0.3):
            second = self.pick(pool)
            if _go_together(first, second):
                return (first, second)
        return (first,)

    def _at(self, preposition: Phrasing, nouns: Sequence[Noun]) -> Place:
        noun = self.pick(nouns)
        plural = noun.french in ("arbre", "fleur") and self.chance(0.4)
        return Place(
            preposition,
            self.noun_phrase(noun, plural=plural, definite=self.chance(0.8), plain=plural),
        )

    def place_of(self, noun: Noun) -> Place:
        """Sample a place where the noun may be."""
        tags = noun.tags
        if "person" in tags or "animal" in tags:
            return self.place_of_action("person" in tags)
        if any(tag in _PORTABLE for tag in tags):
            if self.chance(0.6):
                preposition = self.pick((lex.ON, lex.ON, lex.UNDER, lex.BEHIND))
                return self._at(preposition, lex.nouns_with(("surface",)))
            return self._at(lex.IN, lex.nouns_with(("owned",)))
        if "furniture" in tags:
            if self.chance(0.5):
                return self._at(lex.IN, lex.nouns_with(("owned",)))
            preposition = self.pick((lex.NEXT_TO, lex.NEAR, lex.IN_FRONT_OF))
            return self._at(preposition, lex.nouns_with(("fixture",)))
        if "vehicle" in tags or "transport" in tags:
            preposition = self.pick((lex.IN_FRONT_OF, lex.BEHIND, lex.NEAR))
            return self._at(preposition, lex.nouns_with(("building",)))
        preposition = self.pick((lex.NEAR, lex.FAR_FROM, lex.NEXT_TO, lex.BEHIND))
        others = [n for n in lex.nouns_with(("building", "place")) if n != noun]
        return self._at(preposition, others)

    def place_of_action(self, person: bool) -> Place:
        """Sample a place where a person or an animal may do something."""
        if person and self.chance(0.12):
            return Place(self.pick(lex.FIXED_PLACES))
        if person and self.chance(0.15):
            people = lex.nouns_with(("person",))
            return Place(lex.WITH, self.noun_phrase(self.pick(people), definite=True))
        if self.chance(0.45):
            return self._at(lex.IN, lex.nouns_with(("inside",)))
        if person and self.chance(0.3):
            return Place(
                lex.AT,
                self.noun_phrase(
                    self.pick(lex.nouns_with(("goal",))), plural=False, definite=True, plain=True
                ),
            )
        if self.chance(0.15):
            return self._at(lex.ON, lex.nouns_with(("ground",)))
        preposition = self.pick((lex.NEAR, lex.BEHIND, lex.IN_FRONT_OF, lex.NEXT_TO))
        return self._at(preposition, lex.nouns_with(("building", "plant")))


def _go_together(first: Adjective, second: Adjective) -> bool:
    """Return whether two adjectives may describe one noun in an unambiguous French order."""
    if "delicious" in (first.english, second.english):
        return False
    if first.prenominal != second.prenominal:
        return True
    low, high = sorted((first, second), key=lambda adjective: adjective.rank)
    if first.prenominal:
        return low.english in ("beautiful", "pretty") and high.english in ("small", "big")
    return (low.rank, high.rank) == (5, 6)
