"""What a row of the torture table is made from, and made of."""

from dataclasses import dataclass
from pathlib import Path

from harness import Warm


@dataclass(frozen=True)
class Setting:
    """Where a row may write, whether the short form is wanted, and the seed of random draws.

    `warm` runs s2st in forks of a process that is ready for it; all rows share it.
    """

    folder: Path
    warm: Warm
    short: bool
    seed: int


@dataclass(frozen=True)
class Row:
    """One fault: how often it was injected, how often all was well after it, how often not."""

    fault: str
    cases: int
    survived: int
    lost: int
