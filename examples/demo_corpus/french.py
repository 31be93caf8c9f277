"""French side of the demo's grammar: converts a sentence tree to French words.

Words are first put in order with full articles ("le", "ne", "que"); ``elide`` then shortens those
before a vowel, over the whole sentence, each as a token of its own ("l' homme").
"""

from __future__ import annotations

from itertools import pairwise

from .lexicon import Adverb, french_number
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
from .verbs import ALLER, AVOIR, DEVOIR, ETRE, POUVOIR, VOULOIR
from .words import FrenchVerb, Profession, Verb, elides

_ELIDING = frozenset(("le", "la", "de", "ne", "je", "me", "se", "que"))
_DETERMINERS = {
    "the": ("le", "la", "les"),
    "my": ("mon", "ma", "mes"),
    "his": ("son", "sa", "ses"),
    "her": ("son", "sa", "ses"),
    "our": ("notre", "notre", "nos"),
    "their": ("leur", "leur", "leurs"),
    "this": ("ce", "cette", "ces"),
    "every": ("chaque", "chaque", "chaque"),
    "several": ("plusieurs", "plusieurs", "plusieurs"),
    "": ("", "", ""),
}
_BEFORE_VOWEL = {"ma": "mon", "sa": "son", "ce": "cet"}
_CONTRACTIONS = {
    ("de", "le"): "du",
    ("de", "les"): "des",
    ("à", "le"): "au",
    ("à", "les"): "aux",
}
_COMPARISONS = {"more": "plus", "less": "moins", "as": "aussi"}
_MODALS = {
    Tense.GOING: ALLER,
    Tense.CAN: POUVOIR,
    Tense.MUST: DEVOIR,
    Tense.WANT: VOULOIR,
    Tense.WANTED: VOULOIR,
}
_FUTURE_STEMS = {"être": "ser", "avoir": "aur"}


def sentence(tree: Sentence) -> str:
    """Return the French sentence of a tree: lower-case, space-tokenized, ending in " ."."""
    return " ".join([*elide(_sentence(tree)), "."])


def elide(words: list[str]) -> list[str]:
    """Elide le, la, de, ne, je, me, se, que before a vowel or a mute h, and si before il(s)."""
    shortened = list(words)
    for index, (word, following) in enumerate(pairwise(words)):
        if (word in _ELIDING and elides(following)) or (
            word == "si" and following in ("il", "ils")
        ):
            shortened[index] = word[:-1] + "'"
    return shortened


def _sentence(tree: Sentence) -> list[str]:
    if isinstance(tree, Clause):
        return _clause(tree)
    if isinstance(tree, Existence):
        return _existence(tree)
    if isinstance(tree, Report):
        agreement = tree.subject.agreement
        group = _group(
            tree.verb.french, tree.tense, None, agreement, imperfect=_has_imperfect(tree.verb)
        )
        return [*_subject(tree.subject), *group, "que", *_clause(tree.clause)]
    first, second = _clause(tree.first), _clause(tree.second)
    conjunction = tree.conjunction.french.split()
    if tree.fronted:
        return [*conjunction, *second, ",", *first]
    return [*first, *conjunction, *second]


def _clause(clause: Clause) -> list[str]:
    body = _subject(clause.subject) + _predicate(clause.predicate, clause.subject.agreement)
    if clause.time is None:
        return body
    time = clause.time.french.split()
    return [*time, ",", *body] if clause.fronted else body + time


def _existence(tree: Existence) -> list[str]:
    words = _phrase(tree.phrase, negated=tree.absent)
    verb = "avait" if tree.past else "a"
    there = ["il", "ne", "y", verb, "pas"] if tree.absent else ["il", "y", verb]
    return [*there, *words, *_place(tree.place)]


def _place(place: Place) -> list[str]:
    words = place.preposition.french.split()
    return _attach(words, place.phrase) if place.phrase else words


def _attach(preposition: list[str], phrase: Phrase) -> list[str]:
    """Return a preposition and its phrase; de and à contract with le and les ("au marché")."""
    if isinstance(phrase, Coordination):
        # Of the prepositions, à and de are repeated; both parts may contract.
        return [*_attach(preposition, phrase.first), "et", *_attach(preposition, phrase.second)]
    last = preposition[-1]
    words = _phrase(phrase, after_de=last == "de")
    contracted = _CONTRACTIONS.get((last, words[0]))
    if contracted and not (words[0] == "le" and elides(words[1])):
        return [*preposition[:-1], contracted, *words[1:]]
    return [*preposition, *words]


def _subject(phrase: Phrase) -> list[str]:
    if not isinstance(phrase, Pronoun):
        return _phrase(phrase)
    agreement = phrase.agreement
    if agreement.person == 1:
        return ["nous" if agreement.plural else "je"]
    pronoun = "elle" if agreement.gender == "f" else "il"
    return [pronoun + ("s" if agreement.plural else "")]


def _phrase(phrase: Phrase, negated: bool = False, after_de: bool = False) -> list[str]:
    """Return a noun phrase; ``negated`` and ``after_de`` drop an indefinite article."""
    if isinstance(phrase, Pronoun):
        raise TypeError("a French pronoun is placed by its role, never as a noun phrase")
    if isinstance(phrase, Coordination):
        return [*_phrase(phrase.first, negated), "et", *_phrase(phrase.second, negated)]
    noun, gender = phrase.noun, phrase.noun.gender
    before = sorted((a for a in phrase.adjectives if a.prenominal), key=lambda a: a.rank)
    after = sorted((a for a in phrase.adjectives if not a.prenominal), key=lambda a: -a.rank)
    words: list[str] = [noun.french_plural if phrase.plural else noun.french]
    for adjective in reversed(before):
        form = adjective.form(gender, phrase.plural)
        if gender == "m" and not phrase.plural and elides(words[0]):
            form = adjective.before_vowel
        words.insert(0, form)
    if phrase.number is not None:
        words.insert(0, french_number(phrase.number, gender))
    words = _determiner(phrase, words[0], bool(before), negated, after_de) + words
    words += [adjective.form(gender, phrase.plural) for adjective in after]
    if phrase.possessor is not None:
        words += _attach(["de"], phrase.possessor)
    return words + _relative(phrase)


def _determiner(
    phrase: NounPhrase, following: str, adjective_first: bool, negated: bool, after_de: bool
) -> list[str]:
    column = 2 if phrase.plural else int(phrase.noun.gender == "f")
    determiner = "the" if phrase.possessor is not None else phrase.determiner
    if determiner == "many":
        return ["beaucoup", "de"]
    if determiner == "a":
        if negated:
            return ["de"]
        if phrase.plural:
            return [] if after_de else ["de" if adjective_first else "des"]
        if not phrase.noun.mass:
            return ["une" if column else "un"]
        if after_de:
            return []
        if column or elides(following):
            return ["de", "la" if column else "le"]
        return ["du"]
    word = _DETERMINERS[determiner][column]
    if elides(following):
        word = _BEFORE_VOWEL.get(word, word)
    return [word] if word else []


def _relative(phrase: NounPhrase) -> list[str]:
    relative = phrase.relative
    if relative is None:
        return []
    if isinstance(relative, SubjectRelative):
        return ["qui", *_predicate(relative.predicate, phrase.agreement)]
    group = _group(
        relative.verb.french,
        relative.tense,
        relative.adverb,
        relative.subject.agreement,
        imperfect=_has_imperfect(relative.verb),
        preceding=phrase.agreement,
    )
    return ["que", *_subject(relative.subject), *group]


def _predicate(predicate: Predicate, agreement: Agreement) -> list[str]:
    if isinstance(predicate, Action):
        return _action(predicate, agreement)
    if isinstance(predicate, Passive):
        words = _group(ETRE, predicate.tense, predicate.adverb, agreement)
        words.append(_agree(predicate.verb.french.participle, agreement))
        return words + (_attach(["par"], predicate.agent) if predicate.agent else [])
    return _being(predicate, agreement)


def _action(action: Action, agreement: Agreement) -> list[str]:
    clitic: str | None = None
    preceding: Agreement | None = None
    late: list[str] = []
    negated = action.adverb is not None and action.adverb.negative
    indirect = "indirect" in action.verb.flags
    dative = action.target if indirect else action.recipient
    direct = None if indirect else action.target
    if isinstance(direct, Pronoun):
        clitic, preceding = _direct_clitic(direct), direct.agreement
    elif direct is not None:
        late += _phrase(direct, negated)
    if isinstance(dative, Pronoun):
        clitic = _dative_clitic(dative)
    elif dative is not None:
        late += _attach(["à"], dative)
    group = _group(
        action.verb.french,
        action.tense,
        action.adverb,
        agreement,
        clitic=clitic,
        imperfect=_has_imperfect(action.verb),
        preceding=preceding,
    )
    manner = action.manner.french.split() if action.manner else []
    place = _place(action.place) if action.place else []
    return [*group, *manner, *late, *place]


def _first_person_clitic(agreement: Agreement) -> str:
    return "nous" if agreement.plural else "me"


def _direct_clitic(pronoun: Pronoun) -> str:
    agreement = pronoun.agreement
    if agreement.person == 1:
        return _first_person_clitic(agreement)
    return "les" if agreement.plural else "la" if agreement.gender == "f" else "le"


def _dative_clitic(pronoun: Pronoun) -> str:
    agreement = pronoun.agreement
    if agreement.person == 1:
        return _first_person_clitic(agreement)
    return "leur" if agreement.plural else "lui"


def _being(being: Being, agreement: Agreement) -> list[str]:
    complement = being.complement
    has = isinstance(complement, (Age, State))
    words = _group(AVOIR if has else ETRE, being.tense, being.adverb, agreement, imperfect=True)
    if isinstance(complement, (Quality, State)) and complement.degree is not None:
        words += complement.degree.french.split()
    if isinstance(complement, Quality):
        return [*words, complement.adjective.form(agreement.gender, agreement.plural)]
    if isinstance(complement, State):
        return [*words, complement.state.french]
    if isinstance(complement, Age):
        return [*words, french_number(complement.years), "ans"]
    if isinstance(complement, Comparison):
        adjective = complement.adjective.form(agreement.gender, agreement.plural)
        other = _phrase(complement.other)
        return [*words, _COMPARISONS[complement.kind], adjective, "que", *other]
    if isinstance(complement, Profession):
        # In French, professions take no article.
        feminine = agreement.gender == "f"
        word = complement.feminine if feminine else complement.masculine
        return [*words, word + ("s" if agreement.plural else "")]
    return words + _place(complement)


def _has_imperfect(verb: Verb) -> bool:
    """Return whether the English past of a verb is a French imperfect ("knew": a state)."""
    return "stative" in verb.flags


def _agree(participle: str, agreement: Agreement) -> str:
    word = participle + ("e" if agreement.gender == "f" else "")
    return word + ("s" if agreement.plural and not word.endswith("s") else "")


def _present(verb: FrenchVerb, agreement: Agreement) -> str:
    if agreement.person == 1:
        return verb.nous if agreement.plural else verb.je
    return verb.ils if agreement.plural else verb.il


def _imperfect(verb: FrenchVerb, agreement: Agreement) -> str:
    stem = "ét" if verb is ETRE else verb.nous.removesuffix("ons")
    if agreement.person == 1 and agreement.plural:
        # The e of "mangeons" and the cedilla of "commençons" only serve before o and a.
        return {"ge": stem[:-1]}.get(stem[-2:], stem) + "ions"
    return stem + ("aient" if agreement.plural else "ais" if agreement.person == 1 else "ait")


def _future(verb: FrenchVerb, agreement: Agreement) -> str:
    if agreement.person == 1:
        ending = "ons" if agreement.plural else "ai"
    else:
        ending = "ont" if agreement.plural else "a"
    return _FUTURE_STEMS[verb.infinitive] + ending


def _group(
    verb: FrenchVerb,
    tense: Tense,
    adverb: Adverb | None,
    agreement: Agreement,
    clitic: str | None = None,
    imperfect: bool = False,
    preceding: Agreement | None = None,
) -> list[str]:
    """Return the finite verb, the words around it (ne, clitics, pas, adverb), and its complement.

    ``imperfect`` chooses the imperfect for a simple past; ``preceding`` is the agreement of a
    direct object that comes before the verb, with which a participle after avoir agrees.
    """
    if verb.reflexive:
        clitic = _first_person_clitic(agreement) if agreement.person == 1 else "se"
    clitics = [clitic] if clitic else []
    inner: list[str] = []  # complement of the finite verb
    if tense is Tense.PRESENT:
        finite = _present(verb, agreement)
    elif tense is Tense.WILL:
        finite = _future(verb, agreement)
    elif tense is Tense.PAST and imperfect:
        finite = _imperfect(verb, agreement)
    elif tense in (Tense.PAST, Tense.PERFECT):
        finite = _present(ETRE if verb.with_etre else AVOIR, agreement)
        with_which = agreement if verb.with_etre else preceding
        inner = [_agree(verb.participle, with_which) if with_which else verb.participle]
    else:
        inner, clitics = [*clitics, verb.infinitive], []
        if tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE):
            form = _present if tense is Tense.PROGRESSIVE else _imperfect
            finite, inner = form(ETRE, agreement), ["en", "train", "de", *inner]
        elif tense is Tense.WANTED:
            finite = _imperfect(VOULOIR, agreement)
        else:
            finite = _present(_MODALS[tense], agreement)
    around = [adverb.french] if adverb else []
    negation = ["ne"] if adverb and adverb.negative else []
    return [*negation, *clitics, finite, *around, *inner]
