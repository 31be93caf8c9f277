"""A small choice of test cases that still has every wanted combination: greedy set cover."""

from collections import Counter
from collections.abc import Hashable, Sequence, Set


def covering(cases: Sequence[Set[Hashable]]) -> set[int]:
    """Indices of cases that together have every combination that any case has.

    The next case is the one that adds most combinations, the first of equals.

    Args:
        cases: the combinations of each case.
    """
    missing = set().union(*cases)
    gains = Counter({index: len(own) for index, own in enumerate(cases)})
    chosen: set[int] = set()
    while missing:
        index, gain = gains.most_common(1)[0]
        new = cases[index] & missing
        if len(new) < gain:  # an old count: gains only shrink
            gains[index] = len(new)
            continue
        chosen.add(index)
        missing -= new
        del gains[index]
    return chosen
