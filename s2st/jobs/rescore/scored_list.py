"""An n-best list with the models' scores: the record that scoring passes to ranking and tuning."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.text.nbest_lists import NBestEntry

TokenScores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoredList:
    """One list of n hypotheses, in the order of the file, with the scores of K models.

    Attributes:
        entries: the hypotheses, at least one, as read.
        model_scores: (n, K) log-probabilities in nats, one column per model.
        token_scores: [model][hypothesis] -> log-probability of each token, EOS last.
        rows_stepped, positions: decoder positions computed, and those without shared prefixes.
        names: names of the K features.
        consensus: (n,) BLEU or chrF of each hypothesis against the others, in percent; None if it
            is no feature.
    """

    entries: tuple[NBestEntry, ...]
    model_scores: npt.NDArray[np.float64]
    token_scores: tuple[tuple[TokenScores, ...], ...]
    rows_stepped: int
    positions: int
    names: tuple[str, ...] = ()
    consensus: npt.NDArray[np.float64] | None = None

    @property
    def id(self) -> int:
        """Sentence number from 0."""
        return self.entries[0].id

    @property
    def totals(self) -> list[float]:
        """The baseline's total of each hypothesis."""
        return [entry.total for entry in self.entries]
