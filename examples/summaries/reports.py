"""Generated match reports and their headlines: what matters is spread over the sentences."""

import random

TEAMS = (
    "the foxes", "the bears", "the owls", "the wolves", "the hawks", "the otters", "the badgers",
    "the herons",
)  # fmt: skip
CITIES = ("paris", "oslo", "busan", "lisbon", "dublin", "naples", "vienna", "seoul")
PLAYERS = ("kim", "martin", "olsen", "rossi", "silva", "novak", "murphy", "lee")
FILLERS = (
    "the weather was mild , and {n} people had come to {city} .",
    "the first half was slow , and neither side took a risk .",
    "{player} was not on the field because of an injury .",
    "the coach of {loser} looked disappointed after the match .",
    "both teams meet again in {n} days .",
    "the referee showed {n} yellow cards .",
)
OPENINGS = ("{a} met {b} in {city} .", "in {city} , {a} played against {b} .")
ENDINGS = (
    "in the end {winner} had {high} goals and {loser} {low} .",
    "the final score was {high} to {low} for {winner} .",
)
HEROES = ("{hero} scored the decisive goal .", "the decisive goal came from {hero} .")
Pair = tuple[str, str]


def report(draw: random.Random) -> Pair:
    """Return a report of five to eight sentences and its headline."""
    winner, loser = draw.sample(TEAMS, 2)
    low = draw.randrange(4)
    facts = {
        "winner": winner, "loser": loser, "city": draw.choice(CITIES), "low": low,
        "high": low + draw.randint(1, 3), "hero": draw.choice(PLAYERS),
    }  # fmt: skip
    first, second = draw.sample((winner, loser), 2)
    middle = [draw.choice(ENDINGS), draw.choice(HEROES), *draw.sample(FILLERS, draw.randint(2, 5))]
    draw.shuffle(middle)
    sentences = [
        text.format(a=first, b=second, n=draw.randint(2, 9), player=draw.choice(PLAYERS), **facts)
        for text in (draw.choice(OPENINGS), *middle)
    ]
    headline = "{winner} beat {loser} {high} to {low} in {city} , {hero} decides".format(**facts)
    return " ".join(sentences), headline


def draw_splits(pairs: int, held_out: int, seed: int) -> dict[str, list[Pair]]:
    """Draw training, validation and test pairs; no report occurs twice."""
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < pairs + 2 * held_out:
        text, headline = report(draw)
        found.setdefault(text, headline)
    drawn = list(found.items())
    ends = {"train": (0, pairs), "valid": (pairs, pairs + held_out)}
    ends["test"] = (pairs + held_out, len(drawn))
    return {name: drawn[slice(*part)] for name, part in ends.items()}
