"""Adjectives of the demo's bilingual lexicon.

Rows are "english [comparative, or more] | masculine [feminine [before a vowel]] | place | tags".
``pre`` and ``post`` say where French puts the adjective; English orders two by their ranks. An
adjective without a comparative takes no degree either ("very black").
"""

from __future__ import annotations

from .words import Adjective, parse_adjective, rows

_ANIMATE = "person animal"
_THING = "object clothing furniture vehicle"

_ATTRIBUTIVE = f"""
beautiful more      | beau belle bel         | pre1  | person animal clothing building picture plant
pretty prettier     | joli                   | pre1  | clothing inside picture plant text
small smaller       | petit                  | pre2  | animal {_THING} building inside fixture plant
big bigger          | grand                  | pre2  | animal {_THING} building inside fixture plant
fat fatter          | gros grosse            | pre2  | animal
old older           | vieux vieille vieil    | pre3  | {_ANIMATE} {_THING} building text plant
young younger       | jeune                  | pre3  | {_ANIMATE}
new                 | nouveau nouvelle nouvel | pre3 | {_THING} building
good                | bon bonne              | pre1  | food dish drink text
bad                 | mauvais                | pre1  | food dish drink text
long longer         | long longue            | pre2  | text
black               | noir                   | post5 | animal clothing vehicle object
white               | blanc blanche          | post5 | animal clothing vehicle object fixture
red                 | rouge                  | post5 | clothing vehicle object fixture
blue                | bleu                   | post5 | clothing vehicle object fixture
green               | vert                   | post5 | clothing vehicle object fixture
yellow              | jaune                  | post5 | clothing vehicle object fixture
brown               | marron=                | post5 | clothing furniture object
happy happier       | heureux                | post4 | person
sad sadder          | triste                 | post4 | person
rich richer         | riche                  | post4 | person
shy more            | timide                 | post4 | person
intelligent more    | intelligent            | post4 | person
brave braver        | courageux              | post4 | {_ANIMATE}
kind kinder         | gentil gentille        | post4 | person
strong stronger     | fort                   | post4 | {_ANIMATE}
famous more         | célèbre                | post4 | person building picture text
tired more          | fatigué                | post4 | {_ANIMATE}
sick                | malade                 | post4 | {_ANIMATE}
quiet quieter       | calme                  | post4 | {_ANIMATE} inside
dangerous more      | dangereux              | post4 | animal vehicle
fast faster         | rapide                 | post4 | animal vehicle transport
slow slower         | lent                   | post4 | animal vehicle transport
expensive more      | cher chère             | post4 | {_THING} picture
heavy heavier       | lourd                  | post4 | object furniture
dirty dirtier       | sale                   | post4 | {_THING} fixture inside
clean cleaner       | propre                 | post4 | {_THING} fixture inside
empty               | vide                   | post4 | inside building transport
fresh               | frais fraîche          | post4 | food dish
delicious           | délicieux              | post4 | food dish drink
hot hotter          | chaud                  | post4 | dish drink
cold colder         | froid                  | post4 | dish drink
high higher         | haut                   | post4 | fixture
useful more         | utile                  | post4 | object vehicle text
interesting more    | intéressant            | post4 | text picture press
strange stranger    | étrange                | post4 | {_ANIMATE} text object building
italian             | italien                | post6 | person clothing vehicle dish
american            | américain              | post6 | person vehicle text
"""

# Only after be ("un grand homme" is a great man, not a tall one).
_PREDICATIVE = """
tall taller | grand | post9 | person
ready  | prêt  | post9 | person dish
alone  | seul  | post9 | person animal
"""

ADJECTIVES: tuple[Adjective, ...] = tuple(parse_adjective(row) for row in rows(_ATTRIBUTIVE))
PREDICATIVES: tuple[Adjective, ...] = tuple(parse_adjective(row) for row in rows(_PREDICATIVE))
