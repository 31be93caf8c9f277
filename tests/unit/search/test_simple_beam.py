"""The search of examples/plugin that is written from scratch equals the built-in beam search."""

import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.search.beam import BeamSearch
from s2st.search.registry import SEARCHES, BeamConfig

PLUGIN = Path(__file__).resolve().parents[3] / "examples" / "plugin"


@pytest.fixture
def simple_beam(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    import simple_beam

    yield simple_beam
    del SEARCHES._entries["simple-beam"], sys.modules["simple_beam"]


@pytest.mark.parametrize(
    "options",
    [
        {"beam": 1}, {"beam": 4, "nbest": 3}, {"beam": 3, "min_len": 4, "nbest": 2},
        {"beam": 3, "repetition_penalty": 2.0}, {"beam": 5, "no_repeat_ngram_size": 2},
    ],
    ids=str,
)  # fmt: skip
def test_it_finds_what_beam_search_finds(simple_beam, options):
    scorer = FakeScorer({4: random_table(1, 6, 0.5), 5: random_table(2, 6, 0.5)}, "a b c d e f")
    source = make_source([[4, 6], [5]], [0, 1])
    options |= {"max_len_a": 0.0, "max_len_b": 8}
    expected = BeamSearch(BeamConfig(**options))(scorer, source)
    found = simple_beam.SimpleBeamSearch(simple_beam.SimpleBeamConfig(**options))(scorer, source)
    for ours, theirs in zip(found, expected, strict=True):
        assert [h.tokens for h in ours] == [h.tokens for h in theirs]
        for one, other in zip(ours, theirs, strict=True):
            for name in ("token_log_probs", "log_prob", "score", "finished"):
                assert asdict(one)[name] == pytest.approx(asdict(other)[name], abs=1e-6), name
