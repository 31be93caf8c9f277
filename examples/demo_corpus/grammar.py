"""Draw English-French sentence pairs from a bilingual grammar with a seed.

``english`` and ``french`` convert the same random tree (``clauses``, ``phrases``) to words. An
English sentence has the same French translation with every seed.
"""

from __future__ import annotations

import random

from s2st.demo_corpus import Pair

from . import english, french
from . import lexicon as lex
from .clauses import BACKGROUND, FUTURE, PAST, PRESENT, ClauseSampler, head
from .trees import (
    HE,
    SHE,
    WE,
    Clause,
    Compound,
    Existence,
    I,
    NounPhrase,
    Phrase,
    Pronoun,
    Report,
    Sentence,
    Tense,
)

#: Most pairs that ``draw_pairs`` returns. The grammar has more, but new ones become rare.
MAX_PAIRS = 500_000
#: Tokens of a sentence in either language, including the final period.
MIN_TOKENS, MAX_TOKENS = 4, 22

_FOUND = lex.nouns_with(
    ("person", "animal", "food", "dish", "object", "clothing", "text", "furniture", "vehicle")
)


def draw_pairs(count: int, seed: int) -> tuple[Pair, ...]:
    """Draw distinct sentences with their translations.

    The same seed gives the same pairs in the same order; a larger count appends to them.

    Raises:
        ValueError: the count is negative or above ``MAX_PAIRS``.
    """
    if not 0 <= count <= MAX_PAIRS:
        raise ValueError(f"the grammar gives 0 to {MAX_PAIRS:,} pairs, not {count:,}")
    sampler = SentenceSampler(random.Random(seed))
    targets: dict[str, str] = {}
    while len(targets) < count:
        pair = sampler.pair()
        if pair is not None:
            targets.setdefault(pair.source, pair.target)
    return tuple(Pair(source, target) for source, target in targets.items())


def pronoun_for(phrase: Phrase) -> Pronoun:
    """Return the pronoun for a subject mentioned before ("the door" is "it" and "elle")."""
    if isinstance(phrase, Pronoun):
        return phrase
    agreement = phrase.agreement
    if agreement.plural:
        return Pronoun("they", agreement)
    if isinstance(phrase, NounPhrase) and phrase.noun.is_person:
        return SHE if agreement.gender == "f" else HE
    return Pronoun("it", agreement)


class SentenceSampler(ClauseSampler):
    """Samples whole sentences and sentence pairs."""

    def pair(self) -> Pair | None:
        """Sample a pair; return None if it is incomplete, too short or too long."""
        tree = self.sentence()
        if tree is None:
            return None
        pair = Pair(english.sentence(tree), french.sentence(tree))
        lengths = (len(pair.source.split()), len(pair.target.split()))
        return pair if min(lengths) >= MIN_TOKENS and max(lengths) <= MAX_TOKENS else None

    def sentence(self) -> Sentence | None:
        """Sample a sentence."""
        if self.chance(0.06):
            return self._existence()
        if self.chance(0.28):
            return self._compound()
        if self.chance(0.1):
            return self._report()
        return self.clause(self.subject(), self.pick((PRESENT, PRESENT, PAST, FUTURE)), timed=True)

    def _existence(self) -> Sentence:
        noun = self.pick(_FOUND)
        absent = self.chance(0.25)
        phrase = self.noun_phrase(noun)
        while phrase.determiner not in ("a", "many", "several", "") or noun.proper:
            noun = self.pick(_FOUND)
            phrase = self.noun_phrase(noun)
        absent = absent and phrase.determiner == "a"
        return Existence(phrase, self.place_of(noun), past=self.chance(0.4), absent=absent)

    def _second_subject(self, first: Phrase) -> tuple[Phrase, bool]:
        """The subject of a second clause, and whether it is the first's, as a pronoun.

        Another plural pronoun than the first's could not be told from it, nor he and she from a
        person named before: a new subject is I, we or a noun.
        """
        if self.chance(0.5):
            return pronoun_for(first), True
        return self.subject(pronouns=(I, WE)), False

    def _second_clause(self, first: Phrase, frame: str) -> Clause | None:
        subject, same = self._second_subject(first)
        if not same:
            return self.clause(subject, frame)
        # The clause is sampled for the noun; then the pronoun becomes its subject.
        clause = self.clause(first, frame)
        return clause and Clause(subject, clause.predicate)

    def _compound(self) -> Sentence | None:
        conjunction = self.pick((lex.AND, lex.BUT, lex.BECAUSE, lex.WHEN, lex.WHILE, lex.IF))
        frame = self.pick((PRESENT, PAST))
        other = frame
        if conjunction is lex.IF:
            frame, other = PRESENT, self.pick((PRESENT, FUTURE))
        elif conjunction is lex.WHILE:
            frame = BACKGROUND if frame == PAST else PRESENT
        elif conjunction is lex.WHEN and frame == PAST and self.chance(0.5):
            other = BACKGROUND
        first = self.clause(self.subject(), frame)
        if first is None:
            return None
        second = self._second_clause(first.subject, other)
        if second is None:
            return None
        if conjunction in (lex.AND, lex.BUT, lex.BECAUSE):
            return Compound(first, conjunction, second)
        # The first clause is the circumstance: it keeps its noun and comes first.
        return Compound(second, conjunction, first, fronted=True)

    def _report(self) -> Sentence | None:
        subject = self.subject()
        verbs = lex.verbs_of_subject("reporting", head(subject))
        if not verbs:
            return None
        verb = self.pick(verbs)
        past = self.chance(0.4)
        frame = BACKGROUND if past else self.pick((PRESENT, PRESENT, FUTURE, PAST))
        clause = self._second_clause(subject, frame)
        return clause and Report(subject, verb, Tense.PAST if past else Tense.PRESENT, clause)
