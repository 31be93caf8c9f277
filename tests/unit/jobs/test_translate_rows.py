"""Wide searches get few sentences at a time, with the same result."""

import pytest
from builders import mixed_members

from s2st.jobs import translation_tasks as job
from s2st.jobs.translation_tasks import translate
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig, SamplingConfig
from s2st.search.sampling import SamplingSearch

LINES = ["a b", "c", "", "d e f", "a", "b c"] * 3


@pytest.mark.parametrize(
    "search",
    [
        BeamSearch(BeamConfig(beam=5, nbest=5)),
        SamplingSearch(SamplingConfig(nbest=5)),
    ],
    ids=["beam", "sampling"],
)
@pytest.mark.parametrize(("most", "expected"), [(1, 5), (10, 10), (1000, 75)])
def test_rows_are_bounded(monkeypatch, search, most, expected):
    """15 lines that are not empty, 5 rows each; at least one sentence is searched at a time."""
    scorer = mixed_members()[0]
    steps = []
    advance = scorer.advance
    counted = lambda t, s: steps.append(len(t)) or advance(t, s)  # noqa: E731
    monkeypatch.setattr(scorer, "advance", counted)
    monkeypatch.setattr(job, "MAX_ROWS", 1000)
    plain = [t.hypotheses for t in translate(scorer, search, [LINES], 64, True)]
    steps.clear()
    monkeypatch.setattr(job, "MAX_ROWS", most)
    found = [t.hypotheses for t in translate(scorer, search, [LINES], 64, True)]
    if isinstance(search, BeamSearch):  # few rows are open at once
        assert expected / 3 <= max(steps) <= expected
    else:
        assert max(steps) == expected
    assert [[h.tokens for h in group] for group in found] == [
        [h.tokens for h in group] for group in plain
    ]
