"""Sentence trees of the demo's grammar, which ``english`` and ``french`` convert to words.

A tree says nothing about either language's order or agreement; a pair is one tree read twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .lexicon import Adverb
from .words import Adjective, Noun, Phrasing, Profession, Verb


class Tense(Enum):
    """Tenses and modals, by their English form."""

    PRESENT = "opens"
    PROGRESSIVE = "is opening"
    PERFECT = "has opened"
    PAST = "opened"
    PAST_PROGRESSIVE = "was opening"
    WILL = "will open"
    GOING = "is going to open"
    CAN = "can open"
    MUST = "must open"
    WANT = "wants to open"
    WANTED = "wanted to open"


@dataclass(frozen=True)
class Agreement:
    """Agreement of verbs and adjectives: gender "m" or "f", number, person 1 or 3."""

    gender: str
    plural: bool
    person: int = 3


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun, named by its English subject form."""

    english: str
    agreement: Agreement


I = Pronoun("i", Agreement("m", False, 1))  # noqa: E741 (the pronoun)
WE = Pronoun("we", Agreement("m", True, 1))
HE = Pronoun("he", Agreement("m", False))
SHE = Pronoun("she", Agreement("f", False))
THEY = Pronoun("they", Agreement("m", True))


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase.

    ``determiner`` is an English one: the, a (with a plural or a mass noun: some), this, every,
    many, several, my, our, his, her, their, or "" beside a bare number or a name. ``number``
    (2 to 99) needs ``plural``. A ``possessor`` ("the teacher 's") takes the determiner's place.
    """

    noun: Noun
    determiner: str = "the"
    plural: bool = False
    number: int | None = None
    adjectives: tuple[Adjective, ...] = ()
    possessor: NounPhrase | None = None
    relative: SubjectRelative | ObjectRelative | None = None

    @property
    def agreement(self) -> Agreement:
        """Return the agreement of a verb that has this phrase as its subject."""
        return Agreement(self.noun.gender, self.plural)


@dataclass(frozen=True)
class Coordination:
    """Two phrases joined by "and"; masculine unless both are feminine."""

    first: NounPhrase
    second: NounPhrase

    @property
    def agreement(self) -> Agreement:
        """Plural; feminine only when both parts are."""
        genders = {self.first.noun.gender, self.second.noun.gender}
        return Agreement("f" if genders == {"f"} else "m", True)


Phrase = NounPhrase | Coordination | Pronoun


@dataclass(frozen=True)
class Place:
    """A prepositional phrase, or a fixed expression when ``phrase`` is None."""

    preposition: Phrasing
    phrase: NounPhrase | None = None


@dataclass(frozen=True)
class Action:
    """An active verb with its objects; ``recipient`` is the indirect object."""

    verb: Verb
    tense: Tense
    adverb: Adverb | None = None
    target: Phrase | None = None
    recipient: Phrase | None = None
    manner: Phrasing | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Passive:
    """A passive verb, with or without its agent."""

    verb: Verb
    tense: Tense
    adverb: Adverb | None = None
    agent: NounPhrase | None = None


@dataclass(frozen=True)
class Quality:
    """A predicative adjective; ``degree`` is a phrase such as very."""

    adjective: Adjective
    degree: Phrasing | None = None


@dataclass(frozen=True)
class Comparison:
    """The subject compared with another: ``kind`` is more, less or as."""

    adjective: Adjective
    kind: str
    other: NounPhrase


@dataclass(frozen=True)
class Age:
    """An age in years."""

    years: int


@dataclass(frozen=True)
class State:
    """A state that French expresses with avoir ("avoir faim")."""

    state: Phrasing
    degree: Phrasing | None = None


@dataclass(frozen=True)
class Being:
    """The verb be with its complement."""

    complement: Quality | Comparison | Age | State | Profession | Place
    tense: Tense
    adverb: Adverb | None = None


Predicate = Action | Passive | Being


@dataclass(frozen=True)
class SubjectRelative:
    """A relative clause whose subject is the noun it describes ("who sleeps")."""

    predicate: Predicate


@dataclass(frozen=True)
class ObjectRelative:
    """A relative clause whose direct object is the noun it describes ("that the cat sees")."""

    subject: NounPhrase | Pronoun
    verb: Verb
    tense: Tense
    adverb: Adverb | None = None


@dataclass(frozen=True)
class Clause:
    """A subject and its predicate, with a time at its end or, if ``fronted``, at its start."""

    subject: Phrase
    predicate: Predicate
    time: Phrasing | None = None
    fronted: bool = False


@dataclass(frozen=True)
class Existence:
    """Existence ("there is"); ``absent`` negates it (the determiner of the phrase is then a)."""

    phrase: NounPhrase
    place: Place
    past: bool = False
    absent: bool = False


@dataclass(frozen=True)
class Compound:
    """Two clauses and a conjunction; ``fronted`` puts the second, with its conjunction, first."""

    first: Clause
    conjunction: Phrasing
    second: Clause
    fronted: bool = False


@dataclass(frozen=True)
class Report:
    """Someone says or thinks that a clause holds."""

    subject: Phrase
    verb: Verb
    tense: Tense
    clause: Clause


Sentence = Clause | Existence | Compound | Report
