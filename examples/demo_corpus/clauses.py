"""Random clauses of the demo's grammar: subjects, predicates, relative clauses."""

from __future__ import annotations

from dataclasses import replace

from . import lexicon as lex
from .lexicon import Adverb
from .phrases import PhraseSampler
from .trees import (
    HE,
    SHE,
    THEY,
    WE,
    Action,
    Age,
    Being,
    Clause,
    Comparison,
    Coordination,
    I,
    NounPhrase,
    ObjectRelative,
    Passive,
    Phrase,
    Place,
    Predicate,
    Pronoun,
    Quality,
    State,
    SubjectRelative,
    Tense,
)
from .words import Noun, Phrasing, Verb

PRESENT, PAST, FUTURE = "present", "past", "future"
# Actions in progress in the past; French uses the imperfect for them.
BACKGROUND = "background"

_SIMPLE_TENSES = (Tense.PRESENT, Tense.PAST)
_PRESENT_TENSES = (
    (Tense.PRESENT,) * 8
    + (Tense.PROGRESSIVE,) * 4
    + (Tense.PERFECT,) * 3
    + (Tense.CAN, Tense.CAN, Tense.MUST, Tense.MUST, Tense.WANT, Tense.WANT)
)
_PAST_TENSES = (Tense.PAST,) * 8 + (Tense.PAST_PROGRESSIVE, Tense.WANTED)
_LIFELESS_TENSES = {
    PRESENT: (Tense.PRESENT, Tense.PERFECT),
    PAST: (Tense.PAST,),
    FUTURE: (Tense.GOING,),
}
_STATE_TENSES = {
    PRESENT: (Tense.PRESENT,),
    PAST: (Tense.PAST,),
    BACKGROUND: (Tense.PAST,),
    FUTURE: (Tense.WILL, Tense.GOING),
}
_PASSIVE_TENSES = {
    PRESENT: (Tense.PRESENT, Tense.PRESENT, Tense.PERFECT, Tense.MUST),
    PAST: (Tense.PAST,),
    FUTURE: (Tense.WILL, Tense.GOING),
}
_ALL_PERSON = lex.nouns_with(("person",))
_PERSON = _ALL_PERSON[0]
_ACTORS = {"person": _ALL_PERSON, "animal": lex.nouns_with(("animal",))}
_THING_TAGS = """
food dish drink text press object clothing furniture fixture vehicle transport building picture
plant place inside
"""
_THINGS = lex.nouns_with(tuple(_THING_TAGS.split()))


def denies(predicate: Predicate) -> bool:
    """Return whether the predicate is negative."""
    return predicate.adverb is not None and predicate.adverb.negative


def head(phrase: Phrase) -> Noun:
    """Return the noun whose meaning says what a subject can do; a pronoun is a person."""
    if isinstance(phrase, Coordination):
        return phrase.first.noun
    return phrase.noun if isinstance(phrase, NounPhrase) else _PERSON


class ClauseSampler(PhraseSampler):
    """Samples clauses in a time frame; methods return None if a sample cannot be completed."""

    def subject(self, pronouns: tuple[Pronoun, ...] = (I, HE, SHE, WE, THEY)) -> Phrase:
        """Sample a subject; ``pronouns`` are the allowed pronouns."""
        if self.chance(0.14):
            return self.pick(pronouns)
        if self.chance(0.08):
            nouns = _ACTORS[self.pick(("person", "person", "animal"))]
            first, second = self.pick(nouns), self.pick(nouns)
            if first != second:
                return Coordination(
                    self.noun_phrase(first, definite=True, plain=self.chance(0.6)),
                    self.noun_phrase(second, definite=True, plain=self.chance(0.6)),
                )
        if self.chance(0.5):
            noun = self.pick(_ACTORS["person"])
        else:
            noun = self.pick(_ACTORS["animal"] if self.chance(0.4) else _THINGS)
        phrase = self.noun_phrase(noun)
        if phrase.determiner == "the" and not phrase.plural and self.chance(0.06):
            phrase = replace(phrase, determiner="every")
        return self.with_relative(phrase, 0.2)

    def with_relative(self, phrase: NounPhrase, probability: float) -> NounPhrase:
        """Add a relative clause to a phrase with the given probability."""
        bare = phrase.possessor is None and phrase.determiner in ("the", "a", "this", "every")
        if not bare or not self.chance(probability):
            return phrase
        frame = self.pick((PRESENT, PAST))
        if self.chance(0.55):
            predicate = self.predicate(phrase, frame, inner=True)
            if predicate is None or (denies(predicate) and phrase.determiner == "every"):
                return phrase
            return replace(phrase, relative=SubjectRelative(predicate))
        relative = self._object_relative(phrase.noun, frame)
        return replace(phrase, relative=relative) if relative else phrase

    def _object_relative(self, noun: Noun, frame: str) -> ObjectRelative | None:
        verbs = lex.verbs_of_object(noun)
        if not verbs:
            return None
        verb = self.pick(verbs)
        subject: NounPhrase | Pronoun = self.pick((I, HE, SHE, WE, THEY))
        if self.chance(0.7):
            actor = self.pick(lex.nouns_with(verb.subjects))
            if actor == noun:
                return None
            subject = self.noun_phrase(actor, definite=True, plain=self.chance(0.6))
        elif "person" not in verb.subjects:
            return None
        tense = self._action_tense(verb, frame, alive=True)
        if tense is None:
            return None
        return ObjectRelative(subject, verb, tense, self._verb_adverb(verb, tense))

    def predicate(self, subject: Phrase, frame: str, inner: bool = False) -> Predicate | None:
        """Sample a predicate; ``inner`` keeps it short, for a relative clause."""
        noun = head(subject)
        person, alive = noun.is_person, noun.is_person or "animal" in noun.tags
        if self.chance(0.7 if alive else 0.15):
            kinds = ["transitive"] * 8 + ["intransitive"] * 5
            if person:
                kinds += ["dative", "dative", "indirect"]
            return self._action(self.pick(kinds), subject, frame, inner)
        if frame != BACKGROUND and self.chance(0.15 if alive else 0.5):
            return self._passive(noun, frame)
        return self._being(subject, frame)

    def _action_tense(self, verb: Verb, frame: str, alive: bool) -> Tense | None:
        if "stative" in verb.flags:
            return {PRESENT: Tense.PRESENT, FUTURE: None}.get(frame, Tense.PAST)
        if frame == BACKGROUND:
            return Tense.PAST_PROGRESSIVE if alive and "noprog" not in verb.flags else None
        if not alive:
            return self.pick(_LIFELESS_TENSES[frame])
        if frame == FUTURE:
            return Tense.GOING
        tense = self.pick(_PRESENT_TENSES if frame == PRESENT else _PAST_TENSES)
        if "noprog" in verb.flags and tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE):
            return _LIFELESS_TENSES[frame][0]
        return tense

    def _adverb(self, tense: Tense) -> Adverb | None:
        if self.chance(0.14):
            return lex.NOT
        if tense is Tense.PRESENT and self.chance(0.04):
            return lex.NO_LONGER
        if tense is Tense.PERFECT and self.chance(0.25):
            return lex.ALREADY
        if tense in (*_SIMPLE_TENSES, Tense.PERFECT) and self.chance(0.12):
            return self.pick((*lex.FREQUENCY, lex.NEVER, lex.NEVER))
        return None

    def _verb_adverb(self, verb: Verb, tense: Tense) -> Adverb | None:
        """Sample an adverb for the verb; a past state takes no "often" ("connaissait souvent")."""
        adverb = self._adverb(tense)
        past_state = "stative" in verb.flags and tense is Tense.PAST
        return None if past_state and adverb != lex.NOT else adverb

    def _action(self, kind: str, subject: Phrase, frame: str, inner: bool) -> Predicate | None:
        noun = head(subject)
        verbs = lex.verbs_of_subject(kind, noun)
        if not verbs:
            return None
        verb = self.pick(verbs)
        alive = noun.is_person or "animal" in noun.tags
        tense = self._action_tense(verb, frame, alive)
        if tense is None:
            return None
        action = Action(verb, tense, self._verb_adverb(verb, tense))
        if kind == "intransitive":
            return self._with_setting(action, noun, inner)
        target = self._target(action, subject, inner)
        if target is None:
            return None
        action = replace(action, target=target)
        if kind == "dative":
            return self._with_recipient(action, subject)
        relative = isinstance(target, NounPhrase) and target.relative is not None
        if "manner" in verb.flags and not inner and not relative and self.chance(0.15):
            return replace(action, manner=self.pick(lex.MANNER))
        return action

    def _with_setting(self, action: Action, noun: Noun, inner: bool) -> Action:
        """Sample an intransitive action with its goal, place or manner."""
        flags = action.verb.flags
        if "goal" in flags:
            goal = self.noun_phrase(
                self.pick(lex.nouns_with(("goal",))), plural=False, definite=True, plain=True
            )
            return replace(action, place=Place(lex.TO, goal))
        if "place" in flags and (action.verb.base == "live" or self.chance(0.5)):
            return replace(action, place=self.place_of_action(noun.is_person))
        if "manner" in flags and not inner and self.chance(0.3):
            return replace(action, manner=self.pick(lex.MANNER))
        return action

    def _other_pronoun(self, subject: Phrase) -> Pronoun:
        """Sample an object pronoun that cannot be the subject itself."""
        first_person = isinstance(subject, Pronoun) and subject.agreement.person == 1
        return self.pick((HE, SHE, THEY) if first_person else (I, WE, HE, SHE, THEY))

    def _target(self, action: Action, subject: Phrase, inner: bool) -> Phrase | None:
        """Sample an object that suits the verb and is not the subject."""
        if "person" in action.verb.objects and self.chance(0.15):
            return self._other_pronoun(subject)
        noun = self.pick(lex.nouns_with(action.verb.objects))
        if noun == head(subject):
            return None
        negated = denies(action)
        # "n' est pas en train de manger de pomme", "n' aime pas de fromage" are clumsy or wrong.
        flags = action.verb.flags
        progressive = action.tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE)
        definite = "stative" in flags or (negated and (progressive or "indirect" in flags))
        phrase = self.noun_phrase(noun, definite=definite, negated=negated, plain=inner)
        if negated and phrase.determiner == "a":
            return phrase
        return phrase if inner else self.with_relative(phrase, 0.15)

    def _with_recipient(self, action: Action, subject: Phrase) -> Action | None:
        if self.chance(0.4):
            recipient: Phrase = self._other_pronoun(subject)
        else:
            noun = self.pick(_ALL_PERSON)
            if noun == head(subject):
                return None
            recipient = self.noun_phrase(noun, definite=self.chance(0.7), plain=self.chance(0.5))
        target = action.target
        if isinstance(target, NounPhrase) and target.relative is not None:
            # "gives the book that the man bought to the girl" could be read in two ways.
            target = replace(target, relative=None)
        return replace(action, target=target, recipient=recipient)

    def _passive(self, noun: Noun, frame: str) -> Passive | None:
        verbs = lex.verbs_of_object(noun, passive=True)
        if not verbs:
            return None
        verb = self.pick(verbs)
        tense = self.pick(_PASSIVE_TENSES[frame])
        actor = self.pick(lex.nouns_with(verb.subjects))
        agent = None if actor == noun or self.chance(0.25) else self.noun_phrase(actor)
        return Passive(verb, tense, self._adverb(tense), agent)

    def _being(self, subject: Phrase, frame: str) -> Being | None:
        noun = head(subject)
        tense = self.pick(_STATE_TENSES[frame])
        adverb = self._adverb(tense)
        adjectives = lex.adjectives_of(noun, predicative=True)
        if noun.is_person and self.chance(0.25):
            closed = not {"kin", "name"}.intersection(noun.tags)
            if not isinstance(subject, Pronoun) and closed:
                # A teacher has an age, but is no singer.
                return Being(Age(self.number()), tense)
            negation = adverb if adverb == lex.NOT else None
            age = self.chance(0.5)
            return Being(Age(self.number()) if age else self.pick(lex.PROFESSIONS), tense, negation)
        if (noun.is_person or "animal" in noun.tags) and self.chance(0.2):
            states = lex.STATES_OF_PERSONS if noun.is_person else lex.STATES
            state = self.pick(states)
            degree = self.pick(lex.DEGREES) if state in lex.STATES and self.chance(0.2) else None
            return Being(State(state, degree), tense, adverb)
        still = any(tag in ("fixture", "building", "place", "plant") for tag in noun.tags)
        if not adjectives or (self.chance(0.25) and not (still and frame == FUTURE)):
            return Being(self.place_of(noun), tense, adverb)
        adjective = self.pick(adjectives)
        if isinstance(subject, NounPhrase) and adjective in subject.adjectives:
            return None
        if not adjective.comparative:
            return Being(Quality(adjective), tense, adverb)
        if self.chance(0.25):
            other = self._compared(noun)
            if other is not None:
                kind = self.pick(("more", "more", "as", "less"))
                if adverb == lex.NO_LONGER:
                    adverb = None  # "plus plus grand"
                return Being(Comparison(adjective, kind, other), tense, adverb)
        degree = self.pick(lex.DEGREES) if self.chance(0.3) else None
        return Being(Quality(adjective, degree), tense, adverb)

    def _compared(self, noun: Noun) -> NounPhrase | None:
        other = self.pick(lex.nouns_with(noun.tags[:1]))
        return None if other == noun else self.noun_phrase(other, definite=True, plain=True)

    def clause(self, subject: Phrase, frame: str, timed: bool = False) -> Clause | None:
        """Sample a clause about the subject; ``timed`` may add a time."""
        predicate = self.predicate(subject, frame)
        if predicate is None:
            return None
        if isinstance(subject, NounPhrase):
            if denies(predicate) and subject.determiner == "every":
                return None
            if isinstance(predicate, Being) and subject.determiner == "a" and self.chance(0.8):
                return None
        time = self._time(predicate, frame) if timed and self.chance(0.35) else None
        return Clause(subject, predicate, time, fronted=time is not None and self.chance(0.35))

    def _time(self, predicate: Predicate, frame: str) -> Phrasing | None:
        if predicate.adverb not in (None, lex.NOT):
            return None
        if isinstance(predicate, Being) and not isinstance(predicate.complement, (Quality, State)):
            return None
        if isinstance(predicate, Action) and "stative" in predicate.verb.flags:
            return None
        if frame == PAST:
            return None if predicate.tense is Tense.WANTED else self.pick(lex.PAST_TIMES)
        if frame == FUTURE:
            return self.pick(lex.FUTURE_TIMES)
        if predicate.tense is Tense.PROGRESSIVE:
            return lex.NOW
        habit = predicate.tense is Tense.PRESENT and not isinstance(predicate, Being)
        return self.pick(lex.PRESENT_TIMES) if habit else None
