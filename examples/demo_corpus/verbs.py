"""Verbs of the demo's bilingual lexicon.

Rows are "base [past participle [ing]] [+ particle] | French | subjects | objects | flags"; the
French cell is an -er infinitive (with its strong stem, if it has one) or six forms: infinitive,
je, il, nous, ils, participle, where a hyphen stands for the infinitive less two letters. No verb
has an English past equal to its base ("cut", "read"): the tense could not be told from the text.
"""

from __future__ import annotations

from .words import FrenchVerb, Verb, parse_verb, rows

_BUYABLE = "food dish drink text press object clothing furniture vehicle picture"
_CARRIED = "object clothing text press picture"
_ALL = "person animal food text press object clothing furniture fixture vehicle transport " + (
    "building picture plant place"
)
_ANIMATE = "person animal"

_TRANSITIVE = f"""
open | ouvrir -e -e -ons -ent ouvert | person | openable | passive manner
close | fermer | person | openable | passive manner
buy bought bought | acheter achèt | person | {_BUYABLE} | passive
sell sold sold | vendre -s - -ons -ent -u | person | {_BUYABLE} | passive
eat ate eaten | manger | {_ANIMATE} | food dish | passive manner
drink drank drunk | boire bois boit buvons boivent bu | person | drink | passive manner
write wrote written | écrire -s -t -vons -vent -t | person | text | passive
watch | regarder | {_ANIMATE} | person animal transport | manner
look + at | regarder | {_ANIMATE} | {_ALL} | manner
see saw seen | voir vois voit voyons voient vu | {_ANIMATE} | {_ALL} | noprog
hear heard heard | entendre -s - -ons -ent -u | {_ANIMATE} | person animal transport | noprog
find found found | trouver | {_ANIMATE} | food object clothing | passive noprog
lose lost lost losing | perdre -s - -ons -ent -u | person | {_CARRIED} | passive
look + for | chercher | {_ANIMATE} | person animal object clothing text |
hide hid hidden | cacher | person | {_CARRIED} food | passive
steal stole stolen | voler | person | {_CARRIED} vehicle | passive
carry | porter | person | object furniture | manner
wear wore worn | porter | person | clothing |
repair | réparer | person | vehicle furniture breakable | passive
wash | laver | person | vehicle clothing | passive
clean | nettoyer nettoi | person | furniture fixture owned | passive
break broke broken | casser | person | breakable | passive
build built built | construire -s -t -sons -sent -t | person | built | passive
paint | peindre peins peint peignons peignent peint | person | fixture building plant | passive
follow | suivre suis suit -ons -ent -i | {_ANIMATE} | {_ANIMATE} | passive manner
help | aider | person | person | passive
invite | inviter | person | person | passive
wait + for | attendre -s - -ons -ent -u | person | person transport |
meet met met | rencontrer | person | person |
like | aimer | person | person animal food dish drink picture | stative
know knew known | connaître connais - connaissons connaissent connu | person | person | stative
admire | admirer | person | person picture building plant | stative
protect | protéger protèg | {_ANIMATE} | {_ANIMATE} | passive
attack | attaquer | animal | {_ANIMATE} | passive
choose chose chosen | choisir -is -it -issons -issent -i | person | {_BUYABLE} | passive manner
visit | visiter | person | building | passive
drive drove driven | conduire -s -t -sons -sent -t | person | driven | manner
"""

_DATIVE = f"""
give gave given | donner | person | {_CARRIED} food dish |
show showed shown | montrer | person | {_CARRIED} |
send sent sent | envoyer envoi | person | {_CARRIED} |
bring brought brought | apporter | person | {_CARRIED} food dish drink |
"""

_INDIRECT = """
talk + to | parler | person | person | indirect manner
obey | obéir -is -it -issons -issent -i | person | person | indirect
smile + at | sourire -s -t -ons -ent - | person | person | indirect
"""

_INTRANSITIVE = f"""
sleep slept slept | dormir dors dort -ons -ent -i | {_ANIMATE} | | place
sing sang sung | chanter | person | | place manner
dance | danser | person | | place manner
run ran run running | courir -s -t -ons -ent -u | {_ANIMATE} | | place manner
swim swam swum swimming | nager | {_ANIMATE} | | manner
work | travailler | person | | place
play | jouer | {_ANIMATE} | | place
walk | marcher | {_ANIMATE} | | place manner
live | vivre vis vit vivons vivent vécu | {_ANIMATE} | | place stative
arrive | arriver | {_ANIMATE} transport | | être
leave left left | partir pars part -ons -ent -i | person transport | | être
fall fell fallen | tomber | person animal object | | être
stay | rester | {_ANIMATE} | | place être noprog
come came come coming + back | revenir reviens revient -ons reviennent -u | {_ANIMATE} | | être
go went gone | aller vais va allons vont allé | person | | être goal noprog
get got got getting + up | se lever lèv | person | |
wake woke woken + up | se réveiller | {_ANIMATE} | |
fall fell fallen + asleep | se endormir endors endort -ons -ent -i | {_ANIMATE} | | place
stop stopped stopped stopping | se arrêter | person animal transport | |
"""

_REPORTING = """
say said said | dire -s -t -sons -sent -t | person | |
think thought thought | penser | person | | stative
know knew known | savoir sais sait savons savent su | person | | stative
believe | croire crois croit croyons croient cru | person | | stative
"""

TRANSITIVES: tuple[Verb, ...] = tuple(parse_verb(row) for row in rows(_TRANSITIVE))
DATIVES: tuple[Verb, ...] = tuple(parse_verb(row) for row in rows(_DATIVE))
INDIRECTS: tuple[Verb, ...] = tuple(parse_verb(row) for row in rows(_INDIRECT))
INTRANSITIVES: tuple[Verb, ...] = tuple(parse_verb(row) for row in rows(_INTRANSITIVE))
REPORTING: tuple[Verb, ...] = tuple(parse_verb(row) for row in rows(_REPORTING))

ETRE = FrenchVerb("être", "suis", "est", "sommes", "sont", "été")
AVOIR = FrenchVerb("avoir", "ai", "a", "avons", "ont", "eu")
ALLER = FrenchVerb("aller", "vais", "va", "allons", "vont", "allé", with_etre=True)
POUVOIR = FrenchVerb("pouvoir", "peux", "peut", "pouvons", "peuvent", "pu")
DEVOIR = FrenchVerb("devoir", "dois", "doit", "devons", "doivent", "dû")
VOULOIR = FrenchVerb("vouloir", "veux", "veut", "voulons", "veulent", "voulu")
