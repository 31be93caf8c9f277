"""Every scorer that the contract holds for: each architecture's variants, and ensembles.

`make test` runs a covering part of the table of tests and scorers, `make test-all` the rest. In the
covering part every word of the scorers' names (architecture, depth, direction, attention, ...)
meets every test and each of its parameters, and every scorer meets some test of each module.
"""

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

import pytest
from builders import all_scorers
from covering import covering

SCORERS = all_scorers()


@pytest.fixture(params=list(SCORERS))
def scorer(request):
    return SCORERS[request.param]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as extensive the tests over scorers that are not in the covering part."""
    modules = defaultdict(list)
    for item in items:
        if item.path.parent == Path(__file__).parent and "scorer" in parameters(item):
            modules[item.path].append(item)
    for table in modules.values():
        chosen = covering([combinations(item) for item in table])
        for index, item in enumerate(table):
            if index not in chosen:
                item.add_marker(pytest.mark.extensive)
                item.add_marker(pytest.mark.slow)


def parameters(item: pytest.Item) -> dict[str, object]:
    """The parameters of a test, by name."""
    return item.callspec.params if hasattr(item, "callspec") else {}


def combinations(item: pytest.Item) -> set[Hashable]:
    """What a test over a scorer has: its own parameters with each word of the scorer's name."""
    others = dict(parameters(item))
    name = str(others.pop("scorer"))
    row = item.originalname, str(sorted(others.items(), key=str))
    return {name, *((row, word) for word in name.split("-"))}
