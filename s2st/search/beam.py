"""Beam search by the paper's rule (Sutskever et al. 2014, section 3.2).

Keep B partial hypotheses a sentence; extend each by every word; keep the B best by total
log-probability; one that takes EOS leaves the beam for the set of complete ones. Rows that can no
longer win are dropped, so the search of a sentence ends exactly when no open hypothesis can win.
"""

import math
from dataclasses import dataclass

import torch

from s2st.data.batch import SourceBatch
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search, forbid, length_limits
from s2st.search.registry import BeamConfig
from s2st.search.walk import check_finite
from s2st.text.vocabulary import BOS_ID, EOS_ID


@dataclass(frozen=True)
class _Level:
    """What one step chose, for tracing hypotheses back: one entry a live row after the step."""

    parents: list[int]
    tokens: list[int]
    log_probs: list[float]


@dataclass(frozen=True)
class _Rows:
    """The live rows. `sentences`, `slots` and `totals` are (N,), sentences in rising order."""

    sentences: torch.Tensor
    slots: torch.Tensor
    totals: torch.Tensor


class BeamSearch(Search):
    """Vectorised over sentences; only live rows are stepped."""

    def __init__(self, config: BeamConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.beam

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The n best hypotheses that the beam finds for each source."""
        return _Run(self.config, scorer, source).run()


class _Run:
    """One batch in search."""

    def __init__(self, config: BeamConfig, scorer: Scorer, source: SourceBatch) -> None:
        self.config = config
        self.scorer = scorer
        self.device = scorer.device
        self.source = source
        self.limits = length_limits(config, source).to(self.device)
        self.levels: list[_Level] = []
        self.complete: list[list[Hypothesis]] = [[] for _ in range(len(source))]
        # score of the nbest-th complete hypothesis: what an open one has to beat
        self.thresholds = torch.full((len(source),), -torch.inf, dtype=torch.float64)

    def run(self) -> list[list[Hypothesis]]:
        count = len(self.source)
        state = self.scorer.start(self.source)
        tokens = torch.full((count,), BOS_ID, device=self.device)
        rows = _Rows(
            torch.arange(count, device=self.device),
            torch.zeros(count, dtype=torch.int64, device=self.device),
            torch.zeros(count, dtype=torch.float64, device=self.device),
        )
        step = 0
        while len(tokens):
            result = self.scorer.step(tokens, state)
            at_limit = self.limits[rows.sentences] <= step
            log_probs = forbid(result.log_probs, self.config, step, at_limit)
            rows, parents, tokens = self._extend(rows, log_probs, at_limit, step)
            state = result.state.select(parents)
            step += 1
        for made in self.complete:
            check_finite(made[0].log_prob if made else math.nan)
            made.sort(key=lambda hypothesis: -hypothesis.score)
            del made[self.config.nbest :]
        return self.complete

    def _extend(
        self, rows: _Rows, log_probs: torch.Tensor, at_limit: torch.Tensor, step: int
    ) -> tuple[_Rows, torch.Tensor, torch.Tensor]:
        """The rows after a step, with the row before it and the word that each comes from."""
        beam = self.config.beam
        width = min(beam, log_probs.shape[1])
        # the beam best words of each row, then the beam best of each sentence's beam x width
        values, words = log_probs.topk(width, dim=1)
        totals = rows.totals.unsqueeze(1) + values.double()
        count = len(self.source)
        grid = totals.new_full((count, beam, width), -torch.inf)
        grid[rows.sentences, rows.slots] = totals
        live_sentences = torch.unique_consecutive(rows.sentences)
        best, flat = grid[live_sentences].view(len(live_sentences), -1).topk(beam, dim=1)
        row_at = rows.sentences.new_zeros((count, beam))
        row_at[rows.sentences, rows.slots] = torch.arange(len(rows.slots), device=self.device)
        sentences = live_sentences.unsqueeze(1).expand_as(flat)
        possible = best > -torch.inf
        sentences, best, flat = sentences[possible], best[possible], flat[possible]
        parents = row_at[sentences, flat // width]
        chosen = words[parents, flat % width]
        chosen_values = values[parents, flat % width]
        ends = chosen == EOS_ID
        self._finish(
            sentences[ends], parents[ends], chosen_values[ends], best[ends], at_limit, step
        )
        keep = ~ends & self._can_win(sentences, best)
        sentences, best, parents = sentences[keep], best[keep], parents[keep]
        chosen, chosen_values = chosen[keep], chosen_values[keep]
        self.levels.append(_Level(parents.tolist(), chosen.tolist(), chosen_values.tolist()))
        return _Rows(sentences, _slots(sentences), best), parents, chosen

    def _finish(
        self,
        sentences: torch.Tensor,
        parents: torch.Tensor,
        values: torch.Tensor,
        totals: torch.Tensor,
        at_limit: torch.Tensor,
        step: int,
    ) -> None:
        """Moves hypotheses that took EOS to the complete ones."""
        rows = zip(
            sentences.tolist(),
            parents.tolist(),
            values.tolist(),
            totals.tolist(),
            at_limit[parents].tolist(),
            strict=True,
        )
        nbest = self.config.nbest
        for sentence, parent, value, total, forced in rows:
            tokens, log_probs = self._trace(parent)
            score = total / (step + 1) ** self.config.lenpen
            made = self.complete[sentence]
            made.append(Hypothesis(tokens, (*log_probs, value), total, score, not forced))
            if len(made) >= nbest:
                scores = sorted((hypothesis.score for hypothesis in made), reverse=True)
                self.thresholds[sentence] = scores[nbest - 1]

    def _trace(self, row: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
        tokens, log_probs = [], []
        for level in reversed(self.levels):
            tokens.append(level.tokens[row])
            log_probs.append(level.log_probs[row])
            row = level.parents[row]
        return tuple(reversed(tokens)), tuple(reversed(log_probs))

    def _can_win(self, sentences: torch.Tensor, totals: torch.Tensor) -> torch.Tensor:
        """(N,) whether a row could still beat the nbest-th complete hypothesis.

        Further words only lower the total; the length penalty divides it by at most the longest
        length ** lenpen. At a given length a row that loses to the bound ranks below every row
        that does not, so dropping it changes no other row's place in the beam.
        """
        longest = (self.limits[sentences] + 1).double() ** self.config.lenpen
        return totals / longest > self.thresholds.to(self.device)[sentences]


def _slots(sentences: torch.Tensor) -> torch.Tensor:
    """(N,) the place of each row among its sentence's rows; sentences are in rising order."""
    positions = torch.arange(len(sentences), device=sentences.device)
    if not len(sentences):
        return positions
    starts = torch.ones_like(sentences, dtype=torch.bool)
    starts[1:] = sentences[1:] != sentences[:-1]
    first = torch.where(starts, positions, torch.zeros_like(positions)).cummax(0).values
    return positions - first
