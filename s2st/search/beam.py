"""Beam search by the paper's rule (Sutskever et al. 2014, section 3.2).

Keep B partial hypotheses per sentence. Extend each by every word, and keep the B best by total
log-probability. A hypothesis that takes EOS moves from the beam to the complete ones. Rows that can
no longer win are dropped, so that the search of a sentence ends when no open hypothesis can win.
"""

from dataclasses import dataclass, replace

import torch

from s2st.data.batch import SourceBatch
from s2st.data.equal_key_runs import run_positions
from s2st.errors import UsageError
from s2st.scoring.base import BestStep, Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.beam_trace import Ended, Level, as_array, trace
from s2st.search.registry import BeamConfig
from s2st.search.restrictions import Restrictions, restrictions
from s2st.text.vocabulary import BOS_ID, EOS_ID


@dataclass(frozen=True)
class Rows:
    """The live rows.

    Attributes:
        beams: (N,) the beam of each row, in ascending order.
        slots: (N,) its place in the beam.
        totals: (N,) its total log-probability.
        coverage: (N, S) sum of the attention to each source position, if the options need it.
    """

    beams: torch.Tensor
    slots: torch.Tensor
    totals: torch.Tensor
    coverage: torch.Tensor | None = None


@dataclass(frozen=True)
class Candidates:
    """What the live beams may keep: E extensions in each of L beams.

    Attributes:
        beams: (L,) the live beams, in ascending order.
        totals: (L, E) total log-probability; -inf for none.
        words: (L, E) the new words.
        progress: (L, E) see `Restrictions.progress`; None if no rule counts.
    """

    beams: torch.Tensor
    totals: torch.Tensor
    words: torch.Tensor
    progress: torch.Tensor | None


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
        rows = Rows(
            torch.arange(count, device=self.device),
            torch.zeros(count, dtype=torch.int64, device=self.device),
            torch.zeros(count, dtype=torch.float64, device=self.device),
        )
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
        """The rows after a step, with the parent row and the word of each."""
        width = found.words.shape[1]
        # the best words of each row, then the best of each beam's candidates
        totals = rows.totals.unsqueeze(1) + found.log_probs.double()
        live, place = torch.unique_consecutive(rows.beams, return_inverse=True)
        row_at = place.new_zeros((len(live), self.beam))
        row_at[place, rows.slots] = torch.arange(len(place), device=self.device)

        def grid(values: torch.Tensor, empty: float) -> torch.Tensor:
            table = values.new_full((len(live), self.beam, width), empty)
            table[place, rows.slots] = values
            return table.view(len(live), -1)

        words = grid(found.words, EOS_ID)
        progress = forbid.progress(found.words)
        progress = None if progress is None else grid(progress, 0)
        best, flat = self.choose(Candidates(live, grid(totals, -torch.inf), words, progress))
        possible = best > -torch.inf
        beam = torch.arange(len(live), device=self.device).unsqueeze(1).expand_as(flat)
        beam, best, flat = beam[possible], best[possible], flat[possible]
        parents, column = row_at[beam, flat // width], flat % width
        beams = live[beam]
        chosen = found.words[parents, column]
        log_probs = forbid.scorer_log_probs(found.words, found.log_probs)
        values = log_probs[parents, column]
        ends = chosen == EOS_ID
        self._finish(
            replace(_select(rows, parents[ends]), beams=beams[ends], totals=best[ends]),
            parents[ends],
            values[ends],
            forbid,
            found.attention,
        )
        keep = ~ends & self.can_win(beams, best)
        beams, best, parents = beams[keep], best[keep], parents[keep]
        tokens = chosen[keep]
        seen = None if found.attention is None else as_array(found.attention[parents])
        self.levels.append(Level(as_array(parents), as_array(tokens), as_array(values[keep]), seen))
        after = replace(
            _select(rows, parents), beams=beams, slots=run_positions(beams), totals=best
        )
        return after, parents, tokens

    def _finish(
        self,
        rows: Rows,
        parents: torch.Tensor,
        values: torch.Tensor,
        forbid: Restrictions,
        attention: torch.Tensor | None,
    ) -> None:
        """Moves hypotheses that took EOS to the complete ones."""
        if not len(rows.beams):
            return
        scores = self.scores(rows, forbid.step + 1)
        self.ended.append(
            Ended(
                forbid.step,
                as_array(rows.beams),
                as_array(parents),
                as_array(values),
                as_array(rows.totals),
                as_array(scores),
                as_array(forbid.at_limit[parents]),
                None if attention is None else as_array(attention[parents]),
            )
        )
        self.record(rows, forbid.step + 1, scores)

    def record(self, rows: Rows, length: int, scores: torch.Tensor) -> None:
        """Raises the bounds of `can_win` by new hypotheses of this length, EOS included."""
        self.best = better(self.best, rows.beams, scores, self.beam)

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


def better(
    best: torch.Tensor, beams: torch.Tensor, scores: torch.Tensor, beam: int
) -> torch.Tensor:
    """The scores of each beam's best complete hypotheses, with new ones.

    Args:
        best: (beams, n) scores so far, best first.
        beams: (N,) beams of the new hypotheses, in ascending order; at most `beam` per beam.
        scores: (N,) their scores.
        beam: partial hypotheses per beam.
    """
    ended, place = torch.unique_consecutive(beams, return_inverse=True)
    new_scores = scores.new_full((len(ended), beam), -torch.inf)
    new_scores[place, run_positions(beams)] = scores
    both = torch.cat([best[ended], new_scores], dim=1)
    best = best.clone()
    best[ended] = both.topk(best.shape[1], dim=1).values
    return best


def _select(rows: Rows, chosen: torch.Tensor) -> Rows:
    coverage = None if rows.coverage is None else rows.coverage[chosen]
    return Rows(rows.beams[chosen], rows.slots[chosen], rows.totals[chosen], coverage)


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
