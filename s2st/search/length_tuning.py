"""The results of beam search under many length penalties, from one search.

The length penalty never decides which partial hypotheses this beam search keeps. It only
ranks complete ones, and stops the search. So one search that goes on while an open hypothesis could
win under any of the penalties has the exact result of each.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from s2st.data.batch import SourceBatch
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.beam import BeamRun, Rows, divisor
from s2st.search.beam_trace import Ended, as_array, trace
from s2st.search.registry import BeamConfig


class LengthTuningSearch(Search):
    """Gives for each sentence the best hypothesis under each length penalty, in their order.

    Args:
        config: options of the beam search; `lenpen` and `nbest` do not matter.
        lenpens: the length penalties.
    """

    def __init__(self, config: BeamConfig, lenpens: Sequence[float]) -> None:
        self.config = replace(config, nbest=1)
        self.lenpens = tuple(lenpens)
        self.rows_per_sentence = config.beam

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """One hypothesis per length penalty for each source."""
        return _Run(self.config, scorer, source, self.lenpens).run()


class _Run(BeamRun):
    """The search of one batch."""

    def __init__(
        self, config: BeamConfig, scorer: Scorer, source: SourceBatch, lenpens: Sequence[float]
    ) -> None:
        super().__init__(config, scorer, source)
        self.lenpens = torch.tensor(lenpens, dtype=torch.float64, device=self.device)
        # (sentences, penalties): the best score so far
        self.best = self.best[:, :1].repeat(1, len(lenpens))
        self.all_scores: list[torch.Tensor] = []  # (penalties, N) of each entry of `ended`

    def run(self) -> list[list[Hypothesis]]:
        """The best hypothesis of each sentence under each penalty."""
        super().run()
        sources = self.source.lengths.tolist()
        columns = []
        for index in range(len(self.lenpens)):
            ended: list[Ended] = [
                replace(one, scores=as_array(scores[index]))
                for one, scores in zip(self.ended, self.all_scores, strict=True)
            ]
            columns.append(trace(self.levels, ended, sources, 1, self.forbid.penalizes))
        return [[column[row][0] for column in columns] for row in range(len(sources))]

    def record(self, rows: Rows, length: int, scores: torch.Tensor) -> None:
        """Notes the scores under each penalty."""
        given = rows.totals / self._divisors(torch.full_like(rows.totals[:1], length))
        plain = scores - rows.totals / divisor(
            self.config.length_normalization,
            torch.full_like(rows.totals, length),
            self.config.lenpen,
        )  # the coverage penalty
        every = given + plain  # (penalties, N)
        self.all_scores.append(every)
        places = rows.beams.unsqueeze(1).expand(-1, len(self.lenpens))
        self.best = self.best.scatter_reduce(0, places, every.T, "amax")

    def can_win(self, beams: torch.Tensor, totals: torch.Tensor) -> torch.Tensor:
        """(N,) whether a row could still beat the best complete hypothesis under any penalty."""
        most = self._divisors((self.limits[beams] + 1).double())
        return (totals / most > self.best[beams].T).any(dim=0)

    def _divisors(self, lengths: torch.Tensor) -> torch.Tensor:
        """(penalties, N) what totals of these lengths are divided by."""
        return torch.stack(
            [
                divisor(self.config.length_normalization, lengths, float(lenpen))
                for lenpen in self.lenpens
            ]
        )
