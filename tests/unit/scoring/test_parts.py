"""Scoring steps on groups of rows equal one step on all rows, for any grouping."""

import pytest
import torch
from builders import all_scorers, source_batch

from s2st.scoring import base
from s2st.scoring.base import Scorer
from s2st.text.vocabulary import BOS_ID

SCORERS = all_scorers()


@pytest.fixture(params=list(SCORERS))
def stepped(request, monkeypatch):
    """A scorer whose tables are cut into parts of two rows, and a state of five rows."""
    scorer = SCORERS[request.param]
    monkeypatch.setattr(base, "CPU_CELLS", 1)
    monkeypatch.setattr(base, "MIN_ROWS", 2)
    state = scorer.start(source_batch([[4, 5, 6], [5], [6, 7, 8, 4], [4], [8, 8]]))
    return scorer, state, scorer.step(torch.full((5,), BOS_ID), state).state


def plain_step(scorer, tokens, state):
    """(N, V) row by row, so that no part is shared."""
    rows = range(len(tokens))
    alone = [scorer.step(tokens[r : r + 1], state.select(torch.tensor([r]))) for r in rows]
    return torch.cat([step.log_probs for step in alone])


def test_words_asked_for(stepped):
    scorer, _, state = stepped
    tokens = torch.tensor([4, 5, 6, 4, 7])
    rows, words = torch.tensor([0, 0, 1, 3, 3, 3, 4]), torch.tensor([4, 2, 5, 2, 6, 7, 4])
    table = plain_step(scorer, tokens, state)
    found = scorer.step_words(tokens, state, rows, words)
    torch.testing.assert_close(found.log_probs, table[rows, words], rtol=0, atol=1e-9)


def test_best_words_with_some_forbidden(stepped):
    scorer, _, state = stepped
    tokens = torch.tensor([4, 5, 6, 4, 7])
    seen = []

    def forbid(log_probs, part):
        seen.extend(range(part.start, part.stop))
        log_probs[:, 4] = -torch.inf

    table = plain_step(scorer, tokens, state)
    table[:, 4] = -torch.inf
    found = scorer.step_best(tokens, state, 3, forbid)
    expected = table.sort(dim=1, descending=True)
    possible = expected.values[:, :3] > -torch.inf  # of the others none is better
    assert torch.equal(found.words[possible], expected.indices[:, :3][possible])
    torch.testing.assert_close(found.log_probs, expected.values[:, :3], rtol=0, atol=1e-9)
    assert seen == [0, 1, 2, 3, 4]


def test_no_rows_at_all(stepped):
    scorer, _, state = stepped
    none = torch.zeros(0, dtype=torch.int64)
    assert scorer.step(none, state.select(none)).log_probs.shape[0] == 0
    found = scorer.step_best(none, state.select(none), 2, lambda *_: None)
    assert found.words.shape == (0, 2)


def test_a_mean_of_tiny_probabilities_keeps_its_logarithm():
    """Sums of probabilities would be 0 where a word is less likely than 1e-38."""
    log_probs = torch.tensor([[-200.0, -0.0, -90.0]]), torch.tensor([[-201.0, -0.0, -150.0]])

    class Known(Scorer):
        def __init__(self, inner, values):
            self.source, self.target, self.device = inner.source, inner.target, inner.device
            self.values = values

        def start(self, source):
            raise NotImplementedError

        def step(self, tokens, state):
            raise NotImplementedError

        def log_probs(self, features):
            return self.values.clone()

    from s2st.scoring.ensemble_scorer import EnsembleScorer

    inner = next(iter(SCORERS.values()))
    ensemble = EnsembleScorer([Known(inner, values) for values in log_probs], [0.75, 0.25])
    found = ensemble.log_probs((torch.zeros(1), torch.zeros(1)))
    wide = [values.double().exp() for values in log_probs]
    expected = (0.75 * wide[0] + 0.25 * wide[1]).log()
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
