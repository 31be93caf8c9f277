"""Length normalization, coverage penalty and tuning of the length, against plain formulas."""

from dataclasses import replace
from itertools import product
from math import exp, log

import numpy as np
import pytest
import torch
from fakes import FakeScorer, random_table

from s2st.data.batch import make_source
from s2st.errors import UsageError
from s2st.scoring.base import ScorerStep
from s2st.search.beam import BeamSearch
from s2st.search.length_tuning import LengthTuningSearch
from s2st.search.registry import BeamConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID, UNK_ID

SOURCES = [[4, 5, 5], [5], [6, 4, 4, 4, 5]]
TABLES = {key: random_table(key + 20, 4, end=1.5) for key in (4, 5, 6)}
MOST = 4
LIMITS = {"max_len_a": 0.0, "max_len_b": MOST}
WIDE = 5**MOST * 2


def weights(key, position, word, columns):
    """Attention of a step, by a formula."""
    raw = [exp(2 * np.sin(3 * key + 5 * position + 7 * word + 11 * i)) for i in range(columns)]
    return [value / sum(raw) for value in raw]


class Attentive(FakeScorer):
    """The fake with attention over the real source positions."""

    def start(self, source):
        self.lengths = dict(zip(source.tokens[:, 0].tolist(), source.lengths.tolist(), strict=True))
        self.columns = source.tokens.shape[1]
        return super().start(source)

    def step(self, tokens, state):
        result = super().step(tokens, state)
        attention = torch.zeros(len(tokens), self.columns)
        rows = zip(state.keys.tolist(), state.read.tolist(), tokens.tolist(), strict=True)
        for row, (key, position, word) in enumerate(rows):
            length = self.lengths[key]
            attention[row, :length] = torch.tensor(weights(key, position, word, length))
        return ScorerStep(result.log_probs, result.state, attention)


def every(source):
    """(words, log-probability, coverage of each source word) of all hypotheses of a source."""
    with np.errstate(divide="ignore"):
        table = np.log(TABLES[source[0]])
    for length in range(MOST + 1):
        for words in product(range(UNK_ID, 8), repeat=length):
            path = (BOS_ID, *words, EOS_ID)
            total = sum(table[i, path[i], path[i + 1]] for i in range(length + 1))
            seen = [weights(source[0], i, path[i], len(source) + 1) for i in range(length + 1)]
            coverage = [sum(row[i] for row in seen) for i in range(len(source))]
            yield words, total, coverage


def score_of(words, total, coverage, form, lenpen, penalty):
    """Wu et al. 2016, equation 14; `power` is the length itself to the power of lenpen."""
    length = len(words) + 1
    lp = ((5 + length) / 6) ** lenpen if form == "wu" else length**lenpen
    return total / lp + penalty * sum(log(min(c, 1.0)) for c in coverage)


@pytest.mark.parametrize("form", ["power", "wu"])
@pytest.mark.parametrize(("lenpen", "penalty"), [(0, 0.3), (0.6, 0), (1.0, 0.2), (2.0, 3.0)])
def test_a_wide_beam_finds_the_best_by_the_formula(form, lenpen, penalty):
    config = BeamConfig(
        beam=WIDE, nbest=6, lenpen=lenpen, length_normalization=form, coverage_penalty=penalty,
        **LIMITS,
    )  # fmt: skip
    groups = BeamSearch(config)(Attentive(TABLES, "v w x y"), make_source(SOURCES, range(3)))
    for source, group in zip(SOURCES, groups, strict=True):
        scored = [(score_of(*one, form, lenpen, penalty), one[0], one[1]) for one in every(source)]
        best = sorted(scored, reverse=True)[:6]
        assert [h.tokens for h in group] == [words for _, words, _ in best]
        assert [h.score for h in group] == pytest.approx([score for score, _, _ in best], abs=1e-5)
        assert [h.log_prob for h in group] == pytest.approx([total for _, _, total in best])


def test_a_model_without_attention_has_no_coverage():
    search = BeamSearch(BeamConfig(coverage_penalty=0.1))
    with pytest.raises(UsageError, match="--coverage-penalty needs a model with attention"):
        search(FakeScorer(TABLES, "v w x y"), make_source(SOURCES, range(3)))


@pytest.mark.parametrize("beam", [1, 2, 5, 30])
@pytest.mark.parametrize("form", ["power", "wu"])
@pytest.mark.parametrize("penalty", [0, 0.4])
def test_tuning_has_the_result_of_each_length_penalty(beam, form, penalty):
    lenpens = [0, 0.3, 0.9, 1.0, 1.7, 4.0]
    source = make_source(SOURCES, range(3))
    config = BeamConfig(
        beam=beam, length_normalization=form, coverage_penalty=penalty, max_len_b=8, max_len_a=0.0,
        repetition_penalty=1.1,
    )  # fmt: skip
    scorer = Attentive(TABLES, "v w x y")
    tuned = LengthTuningSearch(config, lenpens)(scorer, source)
    for index, lenpen in enumerate(lenpens):
        plain = BeamSearch(replace(config, lenpen=lenpen))(scorer, source)
        for (expected,), group in zip(plain, tuned, strict=True):
            assert group[index].tokens == expected.tokens
            assert group[index].score == pytest.approx(expected.score)
            assert group[index].log_prob == pytest.approx(expected.log_prob)
