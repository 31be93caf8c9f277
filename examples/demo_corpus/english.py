"""English side of the demo's grammar: converts a sentence tree to English words."""

from __future__ import annotations

from .lexicon import NOT, Adverb, english_number
from .trees import (
    Action,
    Age,
    Agreement,
    Being,
    Clause,
    Comparison,
    Coordination,
    Existence,
    NounPhrase,
    Passive,
    Phrase,
    Place,
    Predicate,
    Pronoun,
    Quality,
    Report,
    Sentence,
    State,
    SubjectRelative,
    Tense,
)
from .words import Profession, Verb

_OBJECT_FORMS = {"i": "me", "we": "us", "he": "him", "she": "her", "they": "them"}
_PLURAL_DETERMINERS = {"a": "some", "this": "these"}


def sentence(tree: Sentence) -> str:
    """Return the English sentence of a tree: lower-case, space-tokenized, ending in " ."."""
    return " ".join([*_sentence(tree), "."])


def _sentence(tree: Sentence) -> list[str]:
    if isinstance(tree, Clause):
        return _clause(tree)
    if isinstance(tree, Existence):
        return _existence(tree)
    if isinstance(tree, Report):
        group = _verb_group(tree.verb, tree.tense, None, tree.subject.agreement)
        return [*_phrase(tree.subject), *group, "that", *_clause(tree.clause)]
    first, second = _clause(tree.first), _clause(tree.second)
    conjunction = tree.conjunction.english.split()
    if tree.fronted:
        return [*conjunction, *second, ",", *first]
    return [*first, *conjunction, *second]


def _clause(clause: Clause) -> list[str]:
    body = _phrase(clause.subject) + _predicate(clause.predicate, clause.subject.agreement)
    if clause.time is None:
        return body
    time = clause.time.english.split()
    return [*time, ",", *body] if clause.fronted else body + time


def _existence(tree: Existence) -> list[str]:
    agreement = tree.phrase.agreement
    words = _phrase(tree.phrase)
    if tree.absent:
        words[0] = "no"
    verb = _finite_be(agreement, past=tree.past)
    return ["there", verb, *words, *_place(tree.place)]


def _place(place: Place) -> list[str]:
    words = place.preposition.english.split()
    return words + _phrase(place.phrase) if place.phrase else words


def _phrase(phrase: Phrase, negated: bool = False) -> list[str]:
    """Return a phrase as a subject, or as an object if it is not a pronoun."""
    if isinstance(phrase, Pronoun):
        return [phrase.english]
    if isinstance(phrase, Coordination):
        return [*_phrase(phrase.first), "and", *_phrase(phrase.second)]
    noun = phrase.noun
    words: list[str] = []
    if phrase.number is not None:
        words.append(english_number(phrase.number))
    words += [a.english for a in sorted(phrase.adjectives, key=lambda a: a.rank)]
    words.append(noun.english_plural if phrase.plural else noun.english)
    words = _determiner(phrase, words[0], negated) + words
    return words + _relative(phrase)


def _determiner(phrase: NounPhrase, following: str, negated: bool) -> list[str]:
    if phrase.possessor is not None:
        owner = _phrase(phrase.possessor)
        return [*owner, "'" if phrase.possessor.plural and owner[-1].endswith("s") else "'s"]
    determiner = phrase.determiner
    if phrase.plural or phrase.noun.mass:
        determiner = "any" if determiner == "a" and negated else determiner
        many = phrase.plural or determiner == "a"
        determiner = _PLURAL_DETERMINERS.get(determiner, determiner) if many else determiner
    elif determiner == "a" and following[0] in "aeiou" and not following.startswith("use"):
        determiner = "an"
    return [determiner] if determiner else []


def _relative(phrase: NounPhrase) -> list[str]:
    relative = phrase.relative
    if relative is None:
        return []
    if isinstance(relative, SubjectRelative):
        word = "who" if phrase.noun.is_person else "that"
        return [word, *_predicate(relative.predicate, phrase.agreement)]
    group = _verb_group(relative.verb, relative.tense, relative.adverb, relative.subject.agreement)
    return ["that", *_phrase(relative.subject), *group]


def _object(phrase: Phrase, negated: bool = False) -> list[str]:
    if isinstance(phrase, Pronoun):
        return [_OBJECT_FORMS[phrase.english]]
    return _phrase(phrase, negated)


def _predicate(predicate: Predicate, agreement: Agreement) -> list[str]:
    if isinstance(predicate, Action):
        return _action(predicate, agreement)
    if isinstance(predicate, Passive):
        group = _be_group(predicate.tense, predicate.adverb, agreement)
        agent = ["by", *_phrase(predicate.agent)] if predicate.agent else []
        return [*group, predicate.verb.participle, *agent]
    return _being(predicate, agreement)


def _action(action: Action, agreement: Agreement) -> list[str]:
    words = _verb_group(action.verb, action.tense, action.adverb, agreement)
    negated = action.adverb is not None and action.adverb.negative
    late: list[str] = []
    if isinstance(action.recipient, Pronoun):
        words += _object(action.recipient)
    elif action.recipient is not None:
        late = ["to", *_object(action.recipient)]
    if action.target is not None:
        words += _object(action.target, negated)
    words += late
    if action.manner is not None:
        words += action.manner.english.split()
    if action.place is not None:
        words += _place(action.place)
    return words


def _being(being: Being, agreement: Agreement) -> list[str]:
    words = _be_group(being.tense, being.adverb, agreement)
    complement = being.complement
    if isinstance(complement, (Quality, State)):
        if complement.degree is not None:
            words += complement.degree.english.split()
        word = complement.adjective if isinstance(complement, Quality) else complement.state
        return [*words, word.english]
    if isinstance(complement, Comparison):
        return words + _comparison(complement)
    if isinstance(complement, Age):
        return [*words, english_number(complement.years), "years", "old"]
    if isinstance(complement, Profession):
        if agreement.plural:
            return [*words, complement.english_plural]
        return [*words, "a", complement.english]
    return words + _place(complement)


def _comparison(comparison: Comparison) -> list[str]:
    adjective, other = comparison.adjective, _phrase(comparison.other)
    if comparison.kind == "as":
        return ["as", adjective.english, "as", *other]
    if comparison.kind == "less":
        return ["less", adjective.english, "than", *other]
    analytic = adjective.comparative == "more"
    more = ["more", adjective.english] if analytic else [adjective.comparative]
    return [*more, "than", *other]


def _finite_be(agreement: Agreement, past: bool = False) -> str:
    if past:
        return "were" if agreement.plural else "was"
    if agreement.plural:
        return "are"
    return "am" if agreement.person == 1 else "is"


def _third_singular(agreement: Agreement) -> bool:
    return agreement.person == 3 and not agreement.plural


def _be_group(tense: Tense, adverb: Adverb | None, agreement: Agreement) -> list[str]:
    """Return the verb be in a tense, with its adverb after the first word."""
    if tense in (Tense.PRESENT, Tense.PAST):
        middle = adverb.english.split() if adverb else []
        return [_finite_be(agreement, past=tense is Tense.PAST), *middle]
    return _auxiliary_group(tense, adverb, agreement, "be", "been", "being")


def _verb_group(verb: Verb, tense: Tense, adverb: Adverb | None, agreement: Agreement) -> list[str]:
    """Return a verb in a tense with adverb and particle; a plain negation uses do-support."""
    particle = verb.particle.split()
    middle = adverb.english.split() if adverb else []
    third = _third_singular(agreement)
    if tense in (Tense.PRESENT, Tense.PAST):
        if adverb == NOT:
            support = "did" if tense is Tense.PAST else "does" if third else "do"
            return [support, "not", verb.base, *particle]
        form = verb.past if tense is Tense.PAST else verb.third if third else verb.base
        return [*middle, form, *particle]
    words = _auxiliary_group(tense, adverb, agreement, verb.base, verb.participle, verb.ing)
    return words + particle


def _auxiliary_group(
    tense: Tense, adverb: Adverb | None, agreement: Agreement, base: str, part: str, ing: str
) -> list[str]:
    middle = adverb.english.split() if adverb else []
    third = _third_singular(agreement)
    if tense is Tense.PERFECT:
        return ["has" if third else "have", *middle, part]
    if tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE):
        return [_finite_be(agreement, tense is Tense.PAST_PROGRESSIVE), *middle, ing]
    if tense is Tense.GOING:
        return [_finite_be(agreement), *middle, "going", "to", base]
    if tense in (Tense.WANT, Tense.WANTED):
        past = tense is Tense.WANTED
        if adverb == NOT:
            return ["did" if past else "does" if third else "do", "not", "want", "to", base]
        return [*middle, "wanted" if past else "wants" if third else "want", "to", base]
    if tense is Tense.CAN and adverb == NOT:
        return ["cannot", base]
    modal = {Tense.CAN: "can", Tense.MUST: "must", Tense.WILL: "will"}[tense]
    return [modal, *middle, base]
