"""Nouns of the demo's bilingual lexicon: "english[/plural] | french[/plural] | gender | tags".

Tags are semantic classes; the verb and adjective tables name them to say what goes with what.
"""

from __future__ import annotations

from .words import Noun, parse_noun, rows

_COUNT = """
man/men        | homme                     | m | person
woman/women    | femme                     | f | person
boy            | garçon                    | m | person
girl           | fille                     | f | person
child/children | enfant                    | m | person
teacher        | professeur                | m | person
doctor         | médecin                   | m | person
nurse          | infirmière                | f | person
baker          | boulanger                 | m | person
farmer         | fermier                   | m | person
singer         | chanteuse                 | f | person
actress        | actrice                   | f | person
student        | étudiant                  | m | person
king           | roi                       | m | person
queen          | reine                     | f | person
soldier        | soldat                    | m | person
neighbor       | voisin                    | m | person
lawyer         | avocat                    | m | person
worker         | ouvrier                   | m | person
thief/thieves  | voleur                    | m | person
princess       | princesse                 | f | person
mother         | mère                      | f | person kin single
father         | père                      | m | person kin single
brother        | frère                     | m | person kin
sister         | sœur                      | f | person kin
uncle          | oncle                     | m | person kin
aunt           | tante                     | f | person kin
cousin         | cousin                    | m | person kin
grandmother    | grand-mère/grands-mères   | f | person kin
grandfather    | grand-père/grands-pères   | m | person kin
cat            | chat                      | m | animal
dog            | chien                     | m | animal
horse          | cheval                    | m | animal
cow            | vache                     | f | animal
bird           | oiseau                    | m | animal
mouse/mice     | souris                    | f | animal
rabbit         | lapin                     | m | animal
goat           | chèvre                    | f | animal
wolf/wolves    | loup                      | m | animal
fox            | renard                    | m | animal
bear           | ours                      | m | animal
owl            | hibou/hiboux              | m | animal
goose/geese    | oie                       | f | animal
spider         | araignée                  | f | animal
elephant       | éléphant                  | m | animal
hedgehog       | hérisson                  | m | animal
donkey         | âne                       | m | animal
apple          | pomme                     | f | food
orange         | orange                    | f | food
cake           | gâteau                    | m | food
egg            | œuf                       | m | food
bean           | haricot                   | m | food
cherry         | cerise                    | f | food
tomato/tomatoes | tomate                   | f | food
onion          | oignon                    | m | food
book           | livre                     | m | text
letter         | lettre                    | f | text openable
newspaper      | journal                   | m | press
poem           | poème                     | m | text
story          | histoire                  | f | text
key            | clé                       | f | object
bag            | sac                       | m | object openable
umbrella       | parapluie                 | m | object openable
watch          | montre                    | f | object breakable
knife/knives   | couteau                   | m | object
cup            | tasse                     | f | object breakable
bottle         | bouteille                 | f | object breakable openable
plate          | assiette                  | f | object breakable
box            | boîte                     | f | object openable
lamp           | lampe                     | f | object breakable
painting       | tableau                   | m | picture
photo          | photo                     | f | picture
computer       | ordinateur                | m | object breakable
ax             | hache                     | f | object
clock          | horloge                   | f | object breakable
dress          | robe                      | f | clothing
coat           | manteau                   | m | clothing
hat            | chapeau                   | m | clothing
shirt          | chemise                   | f | clothing
shoe           | chaussure                 | f | clothing
scarf/scarves  | écharpe                   | f | clothing
table          | table                     | f | furniture surface
chair          | chaise                    | f | furniture surface
bed            | lit                       | m | furniture surface
wardrobe       | armoire                   | f | furniture openable
sofa           | canapé                    | m | furniture surface
desk           | bureau/bureaux            | m | furniture surface
door           | porte                     | f | fixture openable
window         | fenêtre                   | f | fixture openable breakable
wall           | mur                       | m | fixture built
car            | voiture                   | f | vehicle driven
bicycle        | vélo                      | m | vehicle
train          | train                     | m | transport
boat           | bateau                    | m | vehicle built
bus            | bus                       | m | transport driven
house          | maison                    | f | building inside built owned
garden         | jardin                    | m | inside owned
kitchen        | cuisine                   | f | inside owned
bedroom        | chambre                   | f | inside owned
school         | école                     | f | building inside goal built
church         | église                    | f | building inside goal built
castle         | château                   | m | building inside goal built
hospital       | hôpital                   | m | building inside goal built
museum         | musée                     | m | building inside goal
library        | bibliothèque              | f | building inside goal
hotel          | hôtel                     | m | building inside goal built
restaurant     | restaurant                | m | building inside goal
market         | marché                    | m | goal place
station        | gare                      | f | building goal inside
park           | parc                      | m | inside goal
forest         | forêt                     | f | inside place
village        | village                   | m | inside place
street         | rue                       | f | inside place
river          | rivière                   | f | place
mountain       | montagne                  | f | place
bridge         | pont                      | m | built ground place
island         | île                       | f | ground place
tree           | arbre                     | m | plant
flower         | fleur                     | f | plant
"""

_MASS = """
bread  | pain    | m | dish
cheese | fromage | m | dish
meat   | viande  | f | dish
rice   | riz     | m | dish
soup   | soupe   | f | dish
water  | eau     | f | drink
milk   | lait    | m | drink
coffee | café    | m | drink
tea    | thé     | m | drink
wine   | vin     | m | drink
"""

_PROPER = """
mary  | marie  | f | person name
julie | julie  | f | person name
alice | alice  | f | person name
paul  | paul   | m | person name
john  | jean   | m | person name
peter | pierre | m | person name
henry | henri  | m | person name
"""

NOUNS: tuple[Noun, ...] = tuple(
    [parse_noun(row) for row in rows(_COUNT)]
    + [parse_noun(row, mass=True) for row in rows(_MASS)]
    + [parse_noun(row, proper=True) for row in rows(_PROPER)]
)
