"""Tests of the demo's bilingual grammar: French and English written by hand."""

from __future__ import annotations

import pytest
from demo_corpus import english, french, verbs
from demo_corpus import lexicon as lex
from demo_corpus.adjectives import ADJECTIVES, PREDICATIVES
from demo_corpus.grammar import pronoun_for
from demo_corpus.nouns import NOUNS
from demo_corpus.trees import (
    HE,
    SHE,
    THEY,
    WE,
    Action,
    Age,
    Being,
    Clause,
    Comparison,
    Compound,
    Coordination,
    Existence,
    I,
    NounPhrase,
    ObjectRelative,
    Passive,
    Place,
    Quality,
    Report,
    Sentence,
    State,
    SubjectRelative,
    Tense,
)
from demo_corpus.words import Adjective, Noun, Verb


def noun(english_word: str) -> Noun:
    return next(n for n in NOUNS if n.english == english_word)


def adjective(english_word: str) -> Adjective:
    return next(a for a in ADJECTIVES + PREDICATIVES if a.english == english_word)


def verb(base: str, particle: str = "") -> Verb:
    pools = (
        verbs.TRANSITIVES,
        verbs.DATIVES,
        verbs.INDIRECTS,
        verbs.INTRANSITIVES,
        verbs.REPORTING,
    )
    found = [v for pool in pools for v in pool if (v.base, v.particle) == (base, particle)]
    return found[0]


def the(word: str, *adjectives: str, plural: bool = False, determiner: str = "the") -> NounPhrase:
    return NounPhrase(noun(word), determiner, plural, None, tuple(map(adjective, adjectives)))


def a(word: str, *adjectives: str, plural: bool = False) -> NounPhrase:
    return the(word, *adjectives, plural=plural, determiner="a")


def sees(target: NounPhrase, subject: str = "man") -> Clause:
    return Clause(the(subject), Action(verb("see"), Tense.PRESENT, target=target))


OPEN, SEE, SLEEP = verb("open"), verb("see"), verb("sleep")

CASES: list[tuple[Sentence, str, str]] = [
    # Agreement and order of adjectives; bel, nouvel, vieil; de before a plural adjective.
    (sees(a("cat", "small", "black")), "a small black cat", "un petit chat noir"),
    (sees(a("house", "old", "white")), "an old white house", "une vieille maison blanche"),
    (sees(the("hotel", "beautiful")), "the beautiful hotel", "le bel hôtel"),
    (sees(the("tree", "old")), "the old tree", "le vieil arbre"),
    (sees(a("computer", "new")), "a new computer", "un nouvel ordinateur"),
    (sees(a("hedgehog", "old")), "an old hedgehog", "un vieux hérisson"),
    (sees(the("car", "new", plural=True)), "the new cars", "les nouvelles voitures"),
    (sees(a("house", "big", plural=True)), "some big houses", "de grandes maisons"),
    (sees(a("apple", plural=True)), "some apples", "des pommes"),
    (sees(a("shoe", "brown", plural=True)), "some brown shoes", "des chaussures marron"),
    (sees(a("queen", "happy")), "a happy queen", "une reine heureuse"),
    (sees(a("horse", "dangerous", plural=True)), "some dangerous horses", "des chevaux dangereux"),
    # Determiners, elision, mass nouns, numbers.
    (sees(the("man"), "cat"), "the man", "l' homme"),
    (sees(the("owl")), "the owl", "le hibou"),
    (sees(the("church", determiner="my")), "my church", "mon église"),
    (sees(the("church", "old", determiner="my")), "my old church", "ma vieille église"),
    (sees(the("elephant", determiner="this")), "this elephant", "cet éléphant"),
    (sees(the("island", determiner="this")), "this island", "cette île"),
    (sees(a("water")), "some water", "de l' eau"),
    (sees(a("bread")), "some bread", "du pain"),
    (sees(a("meat")), "some meat", "de la viande"),
    (sees(the("egg", plural=True, determiner="many")), "many eggs", "beaucoup d' œufs"),
    (sees(the("owl", plural=True, determiner="many")), "many owls", "beaucoup de hiboux"),
    (
        sees(NounPhrase(noun("house"), "", True, 21)),
        "twenty-one houses",
        "vingt-et-une maisons",
    ),
    (
        sees(NounPhrase(noun("dog"), "the", True, 3, (adjective("small"),))),
        "the three small dogs",
        "les trois petits chiens",
    ),
    (
        sees(NounPhrase(noun("dog"), possessor=the("teacher"))),
        "the teacher 's dog",
        "le chien du professeur",
    ),
    (
        sees(NounPhrase(noun("dog"), possessor=the("girl", plural=True))),
        "the girls ' dog",
        "le chien des filles",
    ),
    (
        sees(NounPhrase(noun("dog"), possessor=NounPhrase(noun("alice"), ""))),
        "alice 's dog",
        "le chien d' alice",
    ),
]
OBJECTS = [
    (tree, f"the {'cat' if en == 'the man' else 'man'} sees {en} .", fr) for tree, en, fr in CASES
]


@pytest.mark.parametrize(("tree", "source", "target"), OBJECTS)
def test_noun_phrases(tree: Sentence, source: str, target: str) -> None:
    subject = "le chat" if source.startswith("the cat") else "l' homme"
    assert english.sentence(tree) == source
    assert french.sentence(tree) == f"{subject} voit {target} ."


def says(subject: object, predicate: object) -> Clause:
    return Clause(subject, predicate)  # type: ignore[arg-type]


def opens(tense: Tense, adverb: lex.Adverb | None = None, target: str = "door") -> Action:
    return Action(OPEN, tense, adverb, the(target))


SENTENCES: list[tuple[Sentence, str, str]] = [
    # Tenses, and negation around the finite verb.
    (says(I, opens(Tense.PRESENT)), "i open the door .", "j' ouvre la porte ."),
    (
        says(SHE, opens(Tense.PRESENT, lex.NOT)),
        "she does not open the door .",
        "elle n' ouvre pas la porte .",
    ),
    (
        says(WE, opens(Tense.PAST, lex.NOT)),
        "we did not open the door .",
        "nous n' avons pas ouvert la porte .",
    ),
    (
        says(HE, opens(Tense.PERFECT, lex.ALREADY)),
        "he has already opened the door .",
        "il a déjà ouvert la porte .",
    ),
    (
        says(THEY, opens(Tense.PRESENT, lex.NEVER)),
        "they never open the door .",
        "ils n' ouvrent jamais la porte .",
    ),
    (
        says(HE, opens(Tense.CAN, lex.NOT)),
        "he cannot open the door .",
        "il ne peut pas ouvrir la porte .",
    ),
    (
        says(HE, opens(Tense.WANT, lex.NOT)),
        "he does not want to open the door .",
        "il ne veut pas ouvrir la porte .",
    ),
    (
        says(the("girl", plural=True), opens(Tense.PROGRESSIVE)),
        "the girls are opening the door .",
        "les filles sont en train d' ouvrir la porte .",
    ),
    (
        says(HE, Action(verb("eat"), Tense.PRESENT, lex.NOT, a("apple"))),
        "he does not eat an apple .",
        "il ne mange pas de pomme .",
    ),
    (
        says(WE, Action(verb("eat"), Tense.PRESENT, lex.NO_LONGER, a("bread"))),
        "we no longer eat any bread .",
        "nous ne mangeons plus de pain .",
    ),
    # Être as the auxiliary, reflexive verbs.
    (
        says(the("girl", plural=True), Action(verb("leave"), Tense.PAST)),
        "the girls left .",
        "les filles sont parties .",
    ),
    (
        says(Coordination(the("man"), the("woman")), Action(verb("arrive"), Tense.PAST)),
        "the man and the woman arrived .",
        "l' homme et la femme sont arrivés .",
    ),
    (
        says(Coordination(the("girl"), the("woman")), Action(verb("arrive"), Tense.PAST)),
        "the girl and the woman arrived .",
        "la fille et la femme sont arrivées .",
    ),
    (
        says(SHE, Action(verb("get", "up"), Tense.PAST, lex.NOT)),
        "she did not get up .",
        "elle ne s' est pas levée .",
    ),
    (
        says(I, Action(verb("fall", "asleep"), Tense.GOING)),
        "i am going to fall asleep .",
        "je vais m' endormir .",
    ),
    (
        says(HE, Action(verb("go"), Tense.PAST, place=Place(lex.TO, the("market")))),
        "he went to the market .",
        "il est allé au marché .",
    ),
    (
        says(HE, Action(SLEEP, Tense.PRESENT, place=Place(lex.NEAR, the("tree", plural=True)))),
        "he sleeps near the trees .",
        "il dort près des arbres .",
    ),
    # Pronouns before the verb; a participle agrees with a direct object before it.
    (
        says(HE, Action(SEE, Tense.PAST, target=SHE)),
        "he saw her .",
        "il l' a vue .",
    ),
    (
        says(the("man"), Action(SEE, Tense.GOING, lex.NOT, THEY)),
        "the man is not going to see them .",
        "l' homme ne va pas les voir .",
    ),
    (
        says(I, Action(verb("give"), Tense.PAST, lex.NOT, the("key"), SHE)),
        "i did not give her the key .",
        "je ne lui ai pas donné la clé .",
    ),
    (
        says(SHE, Action(verb("give"), Tense.PRESENT, None, a("key"), the("child", plural=True))),
        "she gives a key to the children .",
        "elle donne une clé aux enfants .",
    ),
    (
        says(the("dog"), Action(verb("obey"), Tense.PRESENT, target=the("boy"))),
        "the dog obeys the boy .",
        "le chien obéit au garçon .",
    ),
    # Relative clauses and passives.
    (
        says(
            NounPhrase(noun("door"), relative=ObjectRelative(the("man"), OPEN, Tense.PAST)),
            Being(Quality(adjective("heavy")), Tense.PRESENT),
        ),
        "the door that the man opened is heavy .",
        "la porte que l' homme a ouverte est lourde .",
    ),
    (
        says(
            NounPhrase(noun("woman"), plural=True, relative=SubjectRelative(opens(Tense.PRESENT))),
            Being(Quality(adjective("tired"), lex.DEGREES[0]), Tense.PAST),
        ),
        "the women who open the door were very tired .",
        "les femmes qui ouvrent la porte étaient très fatiguées .",
    ),
    (
        says(the("door"), Passive(OPEN, Tense.PRESENT, None, the("man"))),
        "the door is opened by the man .",
        "la porte est ouverte par l' homme .",
    ),
    (
        says(the("door", plural=True), Passive(OPEN, Tense.PAST, lex.NOT, the("man"))),
        "the doors were not opened by the man .",
        "les portes n' ont pas été ouvertes par l' homme .",
    ),
    (
        says(the("letter"), Passive(verb("write"), Tense.WILL)),
        "the letter will be written .",
        "la lettre sera écrite .",
    ),
    (
        says(the("key", plural=True), Passive(verb("hide"), Tense.GOING)),
        "the keys are going to be hidden .",
        "les clés vont être cachées .",
    ),
    # Being and having.
    (
        says(the("sister", determiner="my"), Being(Age(31), Tense.PRESENT)),
        "my sister is thirty-one years old .",
        "ma sœur a trente-et-un ans .",
    ),
    (
        says(the("sister", determiner="my"), Being(lex.PROFESSIONS[0], Tense.PRESENT)),
        "my sister is a baker .",
        "ma sœur est boulangère .",
    ),
    (
        says(I, Being(State(lex.STATES[0]), Tense.PRESENT, lex.NOT)),
        "i am not hungry .",
        "je n' ai pas faim .",
    ),
    (
        says(
            the("queen"),
            Being(Comparison(adjective("old"), "more", the("man")), Tense.PRESENT),
        ),
        "the queen is older than the man .",
        "la reine est plus vieille que l' homme .",
    ),
    (
        Existence(a("cat"), Place(lex.UNDER, the("table")), absent=True),
        "there is no cat under the table .",
        "il n' y a pas de chat sous la table .",
    ),
    (
        Existence(a("cat", plural=True), Place(lex.IN, the("garden")), past=True),
        "there were some cats in the garden .",
        "il y avait des chats dans le jardin .",
    ),
    # Two clauses.
    (
        Compound(
            says(the("car"), Being(Quality(adjective("old")), Tense.PRESENT)),
            lex.BUT,
            says(pronoun_for(the("car")), Being(Quality(adjective("fast")), Tense.PRESENT)),
        ),
        "the car is old but it is fast .",
        "la voiture est vieille mais elle est rapide .",
    ),
    (
        Compound(
            says(the("man"), Action(SLEEP, Tense.GOING)),
            lex.IF,
            says(HE, Being(State(lex.STATES[0]), Tense.PRESENT)),
            fronted=True,
        ),
        "if he is hungry , the man is going to sleep .",
        "s' il a faim , l' homme va dormir .",
    ),
    (
        Compound(
            says(the("girl", plural=True), Action(SLEEP, Tense.PRESENT)),
            lex.BECAUSE,
            says(
                pronoun_for(the("girl", plural=True)),
                Being(Quality(adjective("tired")), Tense.PRESENT),
            ),
        ),
        "the girls sleep because they are tired .",
        "les filles dorment parce qu' elles sont fatiguées .",
    ),
    (
        Report(HE, verb("think"), Tense.PAST, says(SHE, Action(SLEEP, Tense.PAST_PROGRESSIVE))),
        "he thought that she was sleeping .",
        "il pensait qu' elle était en train de dormir .",
    ),
    (
        Clause(the("man"), Action(SLEEP, Tense.PAST), lex.PAST_TIMES[0], fronted=True),
        "yesterday , the man slept .",
        "hier , l' homme a dormi .",
    ),
]


@pytest.mark.parametrize(("tree", "source", "target"), SENTENCES)
def test_sentences(tree: Sentence, source: str, target: str) -> None:
    assert (english.sentence(tree), french.sentence(tree)) == (source, target)


NUMBERS = {
    2: ("two", "deux"),
    11: ("eleven", "onze"),
    16: ("sixteen", "seize"),
    17: ("seventeen", "dix-sept"),
    20: ("twenty", "vingt"),
    21: ("twenty-one", "vingt-et-un"),
    22: ("twenty-two", "vingt-deux"),
    40: ("forty", "quarante"),
    61: ("sixty-one", "soixante-et-un"),
    69: ("sixty-nine", "soixante-neuf"),
    70: ("seventy", "soixante-dix"),
    71: ("seventy-one", "soixante-et-onze"),
    72: ("seventy-two", "soixante-douze"),
    79: ("seventy-nine", "soixante-dix-neuf"),
    80: ("eighty", "quatre-vingts"),
    81: ("eighty-one", "quatre-vingt-un"),
    90: ("ninety", "quatre-vingt-dix"),
    91: ("ninety-one", "quatre-vingt-onze"),
    97: ("ninety-seven", "quatre-vingt-dix-sept"),
    99: ("ninety-nine", "quatre-vingt-dix-neuf"),
}


@pytest.mark.parametrize("number", sorted(NUMBERS))
def test_number_words(number: int) -> None:
    assert (lex.english_number(number), lex.french_number(number)) == NUMBERS[number]


def test_feminine_numbers() -> None:
    feminine = [lex.french_number(n, "f") for n in (1, 11, 21, 31, 71, 81, 91)]
    assert feminine == [
        "une",
        "onze",
        "vingt-et-une",
        "trente-et-une",
        "soixante-et-onze",
        "quatre-vingt-une",
        "quatre-vingt-onze",
    ]


def test_number_words_are_distinct_and_bounded() -> None:
    assert len({lex.english_number(n) for n in range(1, 100)}) == 99
    assert len({lex.french_number(n) for n in range(1, 100)}) == 99
    for number in (0, 100):
        with pytest.raises(ValueError, match="from 1 to 99"):
            lex.french_number(number)


def test_no_verb_hides_its_tense() -> None:
    pools = (verbs.TRANSITIVES, verbs.DATIVES, verbs.INDIRECTS, verbs.INTRANSITIVES)
    assert [v.base for pool in pools for v in pool if v.past == v.base] == []


def test_no_noun_hides_its_number() -> None:
    singulars = {n.english for n in NOUNS}
    assert len(singulars) == len(NOUNS)
    assert [n.english for n in NOUNS if n.english_plural in singulars] == []
