"""Beam search by the paper's rule (Sutskever et al. 2014, section 3.2).

Keep B partial hypotheses per sentence. Extend each by every word, and keep the B best by total
log-probability. A hypothesis that takes EOS moves from the beam to the complete ones. Rows that can
no longer win are dropped, so that the search of a sentence ends when no open hypothesis can win.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch
from s2st.data.run_positions import run_positions
from s2st.scoring.base import BestStep, Scorer
from s2st.search.base import (
    Hypothesis,
    Search,
    forbid,
    length_limits,
    prefix_table,
    prefix_words,
)
from s2st.search.registry import BeamConfig
from s2st.search.single_path import check_finite
from s2st.text.vocabulary import BOS_ID, EOS_ID

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Level:
    """The choices of one step, to trace hypotheses back: one entry per live row after the step."""

    parents: Ints
    tokens: Ints
    log_probs: npt.NDArray[np.floating]
    attention: npt.NDArray[np.floating] | None


@dataclass(frozen=True)
class _Ended:
    """Hypotheses that took EOS in one step; `parents` are their rows before the step."""

    step: int
    sentences: Ints
    parents: Ints
    log_probs: Floats
    totals: Floats
    scores: Floats
    forced: npt.NDArray[np.bool_]
    attention: npt.NDArray[np.floating] | None


@dataclass(frozen=True)
class _Rows:
    """The live rows. All tensors are (N,); `sentences` are in ascending order."""

    sentences: torch.Tensor
    slots: torch.Tensor
    totals: torch.Tensor


class BeamSearch(Search):
    """Beam search over a batch of sentences; only live rows are stepped."""

    def __init__(self, config: BeamConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.beam

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The `nbest` best hypotheses that the beam finds for each source."""
        return _Run(self.config, scorer, source).run()


class _Run:
    """The search of one batch."""

    def __init__(self, config: BeamConfig, scorer: Scorer, source: SourceBatch) -> None:
        self.config = config
        self.scorer = scorer
        self.device = scorer.device
        self.source = source
        self.limits = length_limits(config, source).to(self.device)
        self.prefixes = prefix_table(source, self.device)
        self.levels: list[_Level] = []
        self.ended: list[_Ended] = []
        # scores of the nbest best complete hypotheses; an open one must beat the last of them
        self.best = torch.full(
            (len(source), config.nbest), -torch.inf, dtype=torch.float64, device=self.device
        )

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
            at_limit = self.limits[rows.sentences] <= step
            prefix = prefix_words(self.prefixes, rows.sentences, step)
            forbid_words = partial(self._forbid, step, at_limit, prefix)
            result = self.scorer.step_best(tokens, state, self.config.beam, forbid_words)
            rows, parents, tokens = self._extend(rows, result, at_limit, step)
            state = result.state.select(parents)
            step += 1
        return _trace(self.levels, self.ended, self.source, self.config.nbest)

    def _forbid(
        self,
        step: int,
        at_limit: torch.Tensor,
        prefix: torch.Tensor | None,
        log_probs: torch.Tensor,
        part: slice,
    ) -> None:
        required = None if prefix is None else prefix[part]
        forbid(log_probs, self.config, step, at_limit[part], required)

    def _extend(
        self, rows: _Rows, found: BestStep, at_limit: torch.Tensor, step: int
    ) -> tuple[_Rows, torch.Tensor, torch.Tensor]:
        """The rows after a step, with the parent row and the word of each."""
        beam, width = self.config.beam, found.words.shape[1]
        # the best words of each row, then the best of each sentence's beam x width candidates
        totals = rows.totals.unsqueeze(1) + found.log_probs.double()
        live, place = torch.unique_consecutive(rows.sentences, return_inverse=True)
        grid = totals.new_full((len(live), beam, width), -torch.inf)
        grid[place, rows.slots] = totals
        row_at = place.new_zeros((len(live), beam))
        row_at[place, rows.slots] = torch.arange(len(place), device=self.device)
        best, flat = grid.view(len(live), -1).topk(beam, dim=1)
        possible = best > -torch.inf
        sentence = torch.arange(len(live), device=self.device).unsqueeze(1).expand_as(flat)
        sentence, best, flat = sentence[possible], best[possible], flat[possible]
        parents, column = row_at[sentence, flat // width], flat % width
        sentences = live[sentence]
        chosen, values = found.words[parents, column], found.log_probs[parents, column]
        ends = chosen == EOS_ID
        attention = found.attention
        self._finish(
            step,
            sentences[ends],
            parents[ends],
            values[ends],
            best[ends],
            at_limit[parents[ends]],
            None if attention is None else attention[parents[ends]],
        )
        keep = ~ends & self._can_win(sentences, best)
        sentences, best, parents = sentences[keep], best[keep], parents[keep]
        tokens = chosen[keep]
        seen = None if attention is None else _array(attention[parents])
        self.levels.append(_Level(_array(parents), _array(tokens), _array(values[keep]), seen))
        return _Rows(sentences, run_positions(sentences), best), parents, tokens

    def _finish(
        self,
        step: int,
        sentences: torch.Tensor,
        parents: torch.Tensor,
        values: torch.Tensor,
        totals: torch.Tensor,
        forced: torch.Tensor,
        attention: torch.Tensor | None,
    ) -> None:
        """Moves hypotheses that took EOS to the complete ones."""
        if not len(sentences):
            return
        scores = totals / (step + 1) ** self.config.lenpen
        self.ended.append(
            _Ended(
                step,
                _array(sentences),
                _array(parents),
                _array(values),
                _array(totals),
                _array(scores),
                _array(forced),
                None if attention is None else _array(attention),
            )
        )
        ended, place = torch.unique_consecutive(sentences, return_inverse=True)
        new_scores = scores.new_full((len(ended), self.config.beam), -torch.inf)
        new_scores[place, run_positions(sentences)] = scores
        both = torch.cat([self.best[ended], new_scores], dim=1)
        self.best[ended] = both.topk(self.config.nbest, dim=1).values

    def _can_win(self, sentences: torch.Tensor, totals: torch.Tensor) -> torch.Tensor:
        """(N,) whether a row could still beat the nbest-th complete hypothesis.

        Further words only lower the total, and the length penalty divides it by at most the longest
        length ** lenpen. At a given length, a row below the bound ranks below every row above it.
        So dropping the row does not change the rank of another row in the beam.
        """
        longest = (self.limits[sentences] + 1).double() ** self.config.lenpen
        return totals / longest > self.best[sentences, -1]


def _trace(
    levels: Sequence[_Level], ended: Sequence[_Ended], source: SourceBatch, nbest: int
) -> list[list[Hypothesis]]:
    """The nbest best complete hypotheses of each source, best first."""
    if not ended:
        check_finite(math.nan)
    names = ("sentences", "parents", "log_probs", "totals", "scores", "forced")
    sentences, rows, last, totals, scores, forced = (
        np.concatenate([getattr(one, name) for one in ended]) for name in names
    )
    lengths = np.repeat([one.step for one in ended], [len(one.scores) for one in ended])
    order = np.lexsort((-scores, sentences))  # stable: among equal scores, the one that ended first
    ranks = run_positions(torch.from_numpy(sentences[order])).numpy()
    chosen = order[ranks < nbest]
    rows, lengths = rows[chosen], lengths[chosen]
    width = int(lengths.max(initial=0))
    tokens = np.zeros((len(chosen), width), dtype=np.int64)
    log_probs = np.zeros((len(chosen), width + 1))
    log_probs[np.arange(len(chosen)), lengths] = last[chosen]
    attention: npt.NDArray[np.float32] | None = None
    if all(one.attention is not None for one in ended):
        final = np.concatenate([one.attention for one in ended if one.attention is not None])
        attention = np.zeros((len(chosen), width + 1, final.shape[1]), dtype=np.float32)
        attention[np.arange(len(chosen)), lengths] = final[chosen]
    for position in reversed(range(width)):
        longer = np.flatnonzero(lengths > position)
        level, level_rows = levels[position], rows[longer]
        tokens[longer, position] = level.tokens[level_rows]
        log_probs[longer, position] = level.log_probs[level_rows]
        if attention is not None and level.attention is not None:
            attention[longer, position] = level.attention[level_rows]
        rows[longer] = level.parents[level_rows]
    results: list[list[Hypothesis]] = [[] for _ in range(len(source))]
    columns = source.lengths.tolist()
    for i, index in enumerate(chosen.tolist()):
        words = slice(0, int(lengths[i]))
        sentence = int(sentences[index])
        seen = None if attention is None else attention[i, : words.stop + 1, : columns[sentence]]
        results[sentence].append(
            Hypothesis(
                tuple(tokens[i, words].tolist()),
                tuple(log_probs[i, : words.stop + 1].tolist()),
                float(totals[index]),
                float(scores[index]),
                not forced[index],
                seen,
            )
        )
    for hypotheses in results:
        check_finite(hypotheses[0].log_prob if hypotheses else math.nan)
    return results


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return tensor.cpu().numpy()
