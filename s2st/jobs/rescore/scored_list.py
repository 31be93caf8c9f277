"""An n-best list with its models' scores, as scoring hands it to ranking and tuning."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.text.nbest_lists import NBestEntry

TokenScores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoredList:
    """One list and its models' scores, hypotheses in the order of the file.

    Attributes:
        entries: at least one hypothesis, as read.
        model_scores: (n, K) each of K new features, a model's log-probability in nats.
        token_scores: [model][hypothesis] -> one log-probability a token, EOS last.
        rows_stepped, positions: work done and work that plain scoring would do.
        names: of the K features.
    """

    entries: tuple[NBestEntry, ...]
    model_scores: npt.NDArray[np.float64]
    token_scores: tuple[tuple[TokenScores, ...], ...]
    rows_stepped: int
    positions: int
    names: tuple[str, ...] = ()

    @property
    def id(self) -> int:
        """Sentence number from 0."""
        return self.entries[0].id

    @property
    def totals(self) -> list[float]:
        """The system's own total of every hypothesis."""
        return [entry.total for entry in self.entries]
