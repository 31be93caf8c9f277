"""The tasks: addition of numbers, and dates of many notations to one. Items are characters."""

import random
from collections.abc import Callable
from datetime import date, timedelta

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2049, 12, 31)
Pair = tuple[str, str]


def addition(draw: random.Random) -> Pair:
    """Return a sum of two numbers of up to three digits, such as ("57+5", "62")."""
    left, right = (draw.randrange(10 ** draw.randint(1, 3)) for _ in range(2))
    return f"{left}+{right}", str(left + right)


def dates(draw: random.Random) -> Pair:
    """Return a date, such as ("monday, june 3, 2013", "2013-06-03")."""
    day = FIRST_DAY + timedelta(days=draw.randrange((LAST_DAY - FIRST_DAY).days + 1))
    return draw.choice(NOTATIONS)(day), day.isoformat()


Notation = Callable[[date], str]
NOTATIONS: tuple[Notation, ...] = (
    lambda day: f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{DAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{day.day} {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"{MONTHS[day.month - 1][:3]} {day.day}, {day.year}",
    lambda day: f"{day.day}. {MONTHS[day.month - 1][:3]} {day.year}",
    lambda day: f"{day.month}/{day.day}/{day.year % 100:02}",
)
TASKS: dict[str, Callable[[random.Random], Pair]] = {"addition": addition, "dates": dates}


def draw_splits(task: str, pairs: int, held_out: int, seed: int) -> dict[str, list[Pair]]:
    """Draw training, validation and test pairs; no source occurs twice.

    Args:
        task: name in TASKS.
        pairs: number of training pairs.
        held_out: number of validation pairs, and of test pairs.
        seed: of the random draws.
    """
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < pairs + 2 * held_out:
        source, target = TASKS[task](draw)
        found.setdefault(source, target)
    drawn = list(found.items())
    ends = {
        "train": (0, pairs),
        "valid": (pairs, pairs + held_out),
        "test": (pairs + held_out, None),
    }
    return {name: drawn[slice(*part)] for name, part in ends.items()}
