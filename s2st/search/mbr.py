"""Minimum Bayes risk search: the candidate that is most like all others.

The expected utility of a candidate h is the sum over candidates r of p(r) u(h, r). Over samples, p
is their relative frequency (Eikema & Aziz 2020). Over an n-best list of beam search, p is
proportional to the model's probability (Kumar & Byrne 2004).
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from s2st.data.batch import SourceBatch
from s2st.scoring.base import Scorer, TextSide
from s2st.search.base import Hypothesis, Search
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig, MbrConfig, SamplingConfig, SearchConfig
from s2st.search.sampling import SamplingSearch
from s2st.search.utilities import UTILITIES, Floats, Utility


class MbrSearch(Search):
    """The `nbest` candidates with the largest expected utility; the score is that utility.

    Raises:
        UsageError: an unknown utility.
    """

    def __init__(self, config: MbrConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.candidates
        entry = UTILITIES.get(config.utility)
        self.utility = entry.build(entry.config_type())
        self._candidates = _candidate_search(config)

    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The best candidates of each source, each text once."""
        groups = self._candidates(scorer, source)
        return [self._choose(group, scorer.target) for group in groups]

    def _choose(self, group: Sequence[Hypothesis], side: TextSide) -> list[Hypothesis]:
        texts = [side.tokenizer.decode(side.words(h.tokens)) for h in group]
        sampled = self.config.candidates_from == "sampling"
        weights = np.full(len(group), 1 / len(group)) if sampled else _probabilities(group)
        # the candidates are ordered by probability, so of equal texts the most probable is first
        places = {text: place for place, text in reversed(list(enumerate(texts)))}
        distinct = sorted(places.values())
        masses = dict.fromkeys(places, 0.0)
        for text, weight in zip(texts, weights.tolist(), strict=True):
            masses[text] += weight
        unique = [texts[place] for place in distinct]
        values = expected_utilities(self.utility, unique, [masses[text] for text in unique])
        order = np.argsort(-values, kind="stable")[: self.config.nbest]
        return [replace(group[distinct[i]], score=float(values[i])) for i in order]


def expected_utilities(
    utility: Utility, texts: Sequence[str], probabilities: Sequence[float]
) -> Floats:
    """(n,) the expected utility of each text over all of them."""
    values: Floats = utility.matrix(texts) @ np.asarray(probabilities, dtype=np.float64)
    return values


def _probabilities(group: Sequence[Hypothesis]) -> Floats:
    """The model's probabilities of the hypotheses of a list, normalized over the list."""
    log_probs = np.array([h.log_prob for h in group])
    weights: Floats = np.exp(log_probs - log_probs.max())
    normalized: Floats = weights / weights.sum()
    return normalized


def _candidate_search(config: MbrConfig) -> Search:
    """The search for the candidates."""
    if config.candidates_from == "beam":
        options = {f.name: getattr(config, f.name) for f in fields(SearchConfig)}
        options |= {"nbest": config.candidates, "beam": config.candidates}
        return BeamSearch(BeamConfig(**options))
    options = {f.name: getattr(config, f.name) for f in fields(SamplingConfig)}
    return SamplingSearch(SamplingConfig(**{**options, "nbest": config.candidates}))
