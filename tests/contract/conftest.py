"""Every scorer that the contract holds for: each architecture's variants, and ensembles."""

import pytest
from builders import all_scorers

SCORERS = all_scorers()


@pytest.fixture(params=list(SCORERS))
def scorer(request):
    return SCORERS[request.param]
