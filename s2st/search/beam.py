"""Beam search by the paper's rule (Sutskever et al. 2014, section 3.2).

Keep B partial hypotheses per sentence. Extend each by every word, and keep the B best by total
log-probability. A hypothesis that takes EOS moves from the beam to the complete ones. Rows that can
no longer win are dropped, so that the search of a sentence ends when no open hypothesis can win.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch, moved
from s2st.data.equal_key_runs import run_positions
from s2st.errors import UsageError
from s2st.scoring.base import BestStep, Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.beam_trace import Ended, Floats, Ints, Level, as_array, trace
from s2st.search.registry import BeamConfig
from s2st.search.restrictions import Restrictions, restrictions
from s2st.text.vocabulary import BOS_ID, EOS_ID


@dataclass(frozen=True)
class Rows:
    """The live rows.

    Attributes:
        beams: (N,) the beam of each row, in ascending order.
        slots: (N,) its place in the beam.
        live: (L,) the distinct beams, in ascending order.
        places: (N,) index of each row's beam in `live`.
        totals: (N,) its total log-probability.
        coverage: (N, S) sum of the attention to each source position, if the options need it.
        live_array: `live` as an array on the CPU.
    """

    beams: torch.Tensor
    slots: torch.Tensor
    live: torch.Tensor
    places: torch.Tensor
    totals: torch.Tensor
    coverage: torch.Tensor | None
    live_array: Ints


def rows_of(beams: Ints, totals: torch.Tensor, coverage: torch.Tensor | None) -> Rows:
    """Rows of these beams, which are known on the CPU, so that a GPU need not tell their number."""
    live, places = np.unique(beams, return_inverse=True)
    slots = run_positions(torch.from_numpy(beams)).numpy()
    table = moved(torch.from_numpy(np.stack([beams, slots, places])), totals.device)
    distinct = moved(torch.from_numpy(live), totals.device)
    return Rows(table[0], table[1], distinct, table[2], totals, coverage, live)


@dataclass(frozen=True)
class Candidates:
    """What the live beams may keep: E extensions in each of L beams.

    Attributes:
        beams: (L,) the live beams, in ascending order.
        totals: (L, E) total log-probability; -inf for none.
        words: (L, E) the new words.
        progress: (L, E) see `Restrictions.progress`; None if no rule counts.
        beams_array: `beams` as an array on the CPU.
    """

    beams: torch.Tensor
    totals: torch.Tensor
    words: torch.Tensor
    progress: torch.Tensor | None
    beams_array: Ints


@dataclass(frozen=True)
class Choices:
    """What the beams chose in a step, on the CPU: B entries of each live beam, one after another.

    Attributes:
        beams, parents, tokens: (L B) the beam, the row before the step, and the new word.
        log_probs, totals: (L B) the scorer's log-probability of the word; the new total, -inf for
            none.
        attention: (N, S) of each row before the step, if there is any.
    """

    beams: Ints
    parents: Ints
    tokens: Ints
    log_probs: Floats
    totals: Floats
    attention: npt.NDArray[np.floating] | None

    def attention_of(self, places: Ints) -> npt.NDArray[np.floating] | None:
        """The attention of some entries."""
        return None if self.attention is None else self.attention[self.parents[places]]


class BeamSearch(Search):
    """Beam search over a batch of sentences; only live rows are stepped."""

    def __init__(self, config: BeamConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.beam

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The `nbest` best hypotheses that the beam finds for each source."""
        return BeamRun(self.config, scorer, source).run()


class BeamRun:
    """The search of one batch.

    Args:
        config: the options.
        scorer, source: the scorer and the sentences.
        groups: beams per sentence; beam i belongs to sentence i // groups.
        beam: partial hypotheses per beam; default: `config.beam`.
        nbest: complete hypotheses per beam; default: `config.nbest`.
    """

    def __init__(
        self,
        config: BeamConfig,
        scorer: Scorer,
        source: SourceBatch,
        groups: int = 1,
        beam: int | None = None,
        nbest: int | None = None,
    ) -> None:
        self.config = config
        self.scorer = scorer
        self.device = scorer.device
        self.source = source
        self.groups = groups
        self.beam = config.beam if beam is None else beam
        self.nbest = config.nbest if nbest is None else nbest
        self.levels: list[Level] = []
        self.ended: list[Ended] = []
        self.forbid = restrictions(config, source, self.device)
        self.sentences = torch.arange(len(source), device=self.device).repeat_interleave(groups)
        self.limits = self.forbid.limits[self.sentences]
        self.limits_array = as_array(self.limits)
        # scores of the nbest best complete hypotheses; an open one must beat the last of them
        self.best = torch.full(
            (len(self.sentences), self.nbest), -torch.inf, dtype=torch.float64, device=self.device
        )

    def run(self) -> list[list[Hypothesis]]:
        """The hypotheses of each beam, best first."""
        count = len(self.sentences)
        state = self.scorer.start(self.source)
        forbid = self.forbid
        if self.groups > 1:
            state, forbid = state.select(self.sentences), forbid.select(self.sentences)
        tokens = torch.full((count,), BOS_ID, device=self.device)
        totals = torch.zeros(count, dtype=torch.float64, device=self.device)
        rows = rows_of(np.arange(count), totals, None)
        while len(tokens):
            found = self.scorer.step_best(tokens, state, self.config.beam, forbid)
            found = forbid.candidates(found)
            rows, parents, tokens = self._extend(self._covered(rows, found), found, forbid)
            state = found.state.select(parents)
            forbid = forbid.select(parents, tokens)
        lengths = self.source.lengths.repeat_interleave(self.groups).tolist()
        return trace(self.levels, self.ended, lengths, self.nbest, self.forbid.penalizes)

    def choose(self, candidates: Candidates) -> tuple[torch.Tensor, torch.Tensor]:
        """(L, B) totals and places of the extensions that each beam keeps, -inf for none."""
        if candidates.progress is not None:
            return _share(candidates.totals, candidates.progress, self.beam)
        found = candidates.totals.topk(self.beam, dim=1)
        return found.values, found.indices

    def _extend(
        self, rows: Rows, found: BestStep, forbid: Restrictions
    ) -> tuple[Rows, torch.Tensor, torch.Tensor]:
        """The rows after a step, with the parent row and the word of each.

        A GPU tells the CPU twice what it has chosen: once for the bounds of `can_win`, and once
        which rows go on. All sizes follow from this on the CPU.
        """
        width = found.words.shape[1]
        # the best words of each row, then the best of each beam's candidates
        totals = rows.totals.unsqueeze(1) + found.log_probs.double()
        live, places = rows.live, rows.places
        row_at = places.new_zeros((len(live), self.beam))
        row_at[places, rows.slots] = torch.arange(len(places), device=self.device)

        def grid(values: torch.Tensor, empty: float) -> torch.Tensor:
            table = values.new_full((len(live), self.beam, width), empty)
            table[places, rows.slots] = values
            return table.view(len(live), -1)

        words = grid(found.words, EOS_ID)
        progress = forbid.progress(found.words)
        progress = None if progress is None else grid(progress, 0)
        best, flat = self.choose(
            Candidates(live, grid(totals, -torch.inf), words, progress, rows.live_array)
        )
        parents, column = row_at.gather(1, flat // width).flatten(), (flat % width).flatten()
        best, chosen = best.flatten(), found.words[parents, column]
        values = forbid.scorer_log_probs(found.words, found.log_probs)[parents, column]
        told = as_array(
            torch.stack([part.double() for part in (parents, chosen, values, best)])
        )  # the first wait for the GPU
        choices = Choices(
            np.repeat(rows.live_array, self.beam), told[0].astype(np.int64),
            told[1].astype(np.int64), told[2], told[3],
            None if found.attention is None else as_array(found.attention),
        )  # fmt: skip
        possible, ends = told[3] > -np.inf, choices.tokens == EOS_ID
        ended, going_on = np.flatnonzero(possible & ends), np.flatnonzero(possible & ~ends)
        scores = self._finish(rows, ended, choices, parents, best, forbid)
        at = self._index(going_on)
        keep = self.can_win(self._index(choices.beams[going_on]), best[at])
        answer = as_array(torch.cat([keep.double(), scores]))  # the second wait
        self._trace_ended(ended, answer[len(going_on) :], choices, forbid)
        kept = going_on[answer[: len(going_on)] > 0]
        self.levels.append(
            Level(
                choices.parents[kept], choices.tokens[kept], choices.log_probs[kept],
                choices.attention_of(kept),
            )
        )  # fmt: skip
        at = self._index(kept)
        after = rows_of(choices.beams[kept], best[at], _picked(rows.coverage, parents[at]))
        return after, parents[at], chosen[at]

    def _index(self, places: Ints) -> torch.Tensor:
        """The array on the device."""
        return moved(torch.from_numpy(places), self.device)

    def _finish(
        self,
        rows: Rows,
        ended: Ints,
        choices: "Choices",
        parents: torch.Tensor,
        best: torch.Tensor,
        forbid: Restrictions,
    ) -> torch.Tensor:
        """The scores of hypotheses that took EOS, which it records."""
        if not len(ended):
            return best[:0]
        at = self._index(ended)
        complete = rows_of(choices.beams[ended], best[at], _picked(rows.coverage, parents[at]))
        scores = self.scores(complete, forbid.step + 1)
        self.record(complete, forbid.step + 1, scores)
        return scores

    def _trace_ended(
        self, ended: Ints, scores: Floats, choices: "Choices", forbid: Restrictions
    ) -> None:
        """Keeps what the trace of complete hypotheses needs."""
        if not len(ended):
            return
        beams = choices.beams[ended]
        self.ended.append(
            Ended(
                forbid.step, beams, choices.parents[ended], choices.log_probs[ended],
                choices.totals[ended], scores, self.limits_array[beams] <= forbid.step,
                choices.attention_of(ended),
            )
        )  # fmt: skip

    def record(self, rows: Rows, length: int, scores: torch.Tensor) -> None:
        """Raises the bounds of `can_win` by new hypotheses of this length, EOS included."""
        self.best = better(self.best, rows, scores, self.beam)

    def scores(self, rows: Rows, length: int) -> torch.Tensor:
        """(N,) final scores of hypotheses of so many words, EOS included."""
        lengths = torch.full_like(rows.totals, length)
        scores = rows.totals / divisor(
            self.config.length_normalization, lengths, self.config.lenpen
        )
        if rows.coverage is None:
            return scores
        columns = self.source.lengths.to(self.device)[self.sentences[rows.beams]].unsqueeze(1) - 1
        places = torch.arange(rows.coverage.shape[1], device=self.device)
        covered = rows.coverage.clamp(torch.finfo(rows.coverage.dtype).tiny, 1).log()
        penalty = covered.masked_fill(places >= columns, 0).sum(dim=1)
        return scores + self.config.coverage_penalty * penalty

    def can_win(self, beams: torch.Tensor, totals: torch.Tensor) -> torch.Tensor:
        """(N,) whether a row could still beat the nbest-th complete hypothesis.

        Further words only lower the total, the length penalty divides it by at most that of the
        longest hypothesis, and the coverage penalty is at most 0. At a given length, a row below
        the bound ranks below every row above it. So dropping the row does not change the rank of
        another row in the beam.
        """
        longest = (self.limits[beams] + 1).double()
        most = divisor(self.config.length_normalization, longest, self.config.lenpen)
        return totals / most > self.best[beams, -1]

    def _covered(self, rows: Rows, found: BestStep) -> Rows:
        """The rows with the attention of this step added to their coverage."""
        if not self.config.coverage_penalty:
            return rows
        if found.attention is None:
            raise UsageError(
                "--coverage-penalty needs a model with attention, such as lstm-attention (in an "
                "ensemble, all members with a source need it)"
            )
        attention = found.attention.double()
        coverage = attention if rows.coverage is None else rows.coverage + attention
        return replace(rows, coverage=coverage)


def divisor(form: str, lengths: torch.Tensor, lenpen: float) -> torch.Tensor:
    """What totals are divided by: length ** lenpen, or Wu et al.'s form; at least 1.

    Args:
        form: "power" or "wu".
        lengths: words including EOS, in float64.
        lenpen: the exponent.
    """
    base = lengths if form == "power" else (lengths + 5) / 6
    return base**lenpen


def better(best: torch.Tensor, rows: Rows, scores: torch.Tensor, beam: int) -> torch.Tensor:
    """The scores of each beam's best complete hypotheses, with new ones.

    Args:
        best: (beams, n) scores so far, best first.
        rows: the new hypotheses; at most `beam` per beam.
        scores: (N,) their scores.
        beam: partial hypotheses per beam.
    """
    new_scores = scores.new_full((len(rows.live), beam), -torch.inf)
    new_scores[rows.places, rows.slots] = scores
    both = torch.cat([best[rows.live], new_scores], dim=1)
    best = best.clone()
    best[rows.live] = both.topk(best.shape[1], dim=1).values
    return best


def _picked(values: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor | None:
    return None if values is None else values[rows]


def _share(
    totals: torch.Tensor, progress: torch.Tensor, beam: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keeps `beam` extensions of each beam, divided evenly over the progress that they have made.

    Within the same progress the best ones are kept. Of odd places, those with more progress get
    one more. Beams in which all have the same progress keep the best, as always.
    """
    values, order = totals.sort(dim=1, descending=True, stable=True)
    level = progress.gather(1, order)
    rank = _ranks(level)  # how many better ones have the same progress
    key = rank * (int(level.max()) + 1) - level
    key = key.masked_fill(values == -torch.inf, torch.iinfo(torch.int64).max)
    kept = key.sort(dim=1, stable=True).indices[:, :beam]
    kept = kept.sort(dim=1).values  # best first again
    return values.gather(1, kept), order.gather(1, kept)


def _ranks(level: torch.Tensor) -> torch.Tensor:
    """(L, E) how many earlier entries of the row have the same value."""
    grouped, order = level.sort(dim=1, stable=True)
    places = torch.arange(level.shape[1], device=level.device).expand_as(level)
    begins = torch.ones_like(grouped, dtype=torch.bool)
    begins[:, 1:] = grouped[:, 1:] != grouped[:, :-1]
    starts = places.masked_fill(~begins, 0).cummax(dim=1).values
    return torch.empty_like(level).scatter_(1, order, places - starts)
