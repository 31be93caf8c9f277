"""Diverse beam search (Vijayakumar et al. 2018): groups that avoid each other's words.

At each step the groups choose in turn. A group subtracts the diversity penalty from a word as often
as the groups before it have taken the word at this step (Hamming diversity). The penalty decides
only this choice: totals and scores remain those of the scorer.
"""

import numpy as np
import torch

from s2st.data.batch import SourceBatch, moved
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.beam import BeamRun, Candidates
from s2st.search.registry import DiverseBeamConfig

NO_WORD = -1


class DiverseBeamSearch(Search):
    """The best hypotheses of each group; with one group it is beam search.

    The groups give equally many hypotheses, up to the `nbest`-th. A hypothesis that several groups
    have found is returned once, so there may be fewer.
    """

    def __init__(self, config: DiverseBeamConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.beam

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The hypotheses of each source."""
        groups = self.config.diverse_beam_groups
        beams = _Run(self.config, scorer, source).run()
        return [
            _merged(beams[first : first + groups], self.config.nbest)
            for first in range(0, len(beams), groups)
        ]


class _Run(BeamRun):
    """The search of one batch: a beam for each group of each sentence."""

    def __init__(self, config: DiverseBeamConfig, scorer: Scorer, source: SourceBatch) -> None:
        groups = config.diverse_beam_groups
        each = -(-config.nbest // groups)
        super().__init__(config, scorer, source, groups, config.beam // groups, each)
        self.diversity = config.diverse_beam_strength

    def choose(self, candidates: Candidates) -> tuple[torch.Tensor, torch.Tensor]:
        """(L, B) totals and places of the extensions that each beam keeps, -inf for none."""
        totals, words = candidates.totals, candidates.words
        group = candidates.beams_array % self.groups
        sentences, place = np.unique(candidates.beams_array // self.groups, return_inverse=True)
        taken = words.new_full((len(sentences), self.groups * self.beam), NO_WORD)
        kept = words.new_empty((len(totals), self.beam))
        for index in range(self.groups):
            chosen_rows = np.flatnonzero(group == index)
            if not len(chosen_rows):
                continue
            rows, places = (
                moved(torch.from_numpy(array), totals.device)
                for array in (chosen_rows, place[chosen_rows])
            )
            before = taken[places, : index * self.beam]
            count = (words[rows].unsqueeze(2) == before.unsqueeze(1)).sum(dim=2)
            progress = None if candidates.progress is None else candidates.progress[rows]
            found = Candidates(
                candidates.beams[rows],
                totals[rows] - self.diversity * count,
                words[rows],
                progress,
                candidates.beams_array[chosen_rows],
            )
            values, chosen = super().choose(found)
            kept[rows] = chosen
            new = words[rows].gather(1, chosen).masked_fill(values == -torch.inf, NO_WORD)
            taken[places, index * self.beam : (index + 1) * self.beam] = new
        return _best_first(totals.gather(1, kept), kept)


def _best_first(totals: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    totals, order = totals.sort(dim=1, descending=True, stable=True)
    return totals, places.gather(1, order)


def _merged(beams: list[list[Hypothesis]], nbest: int) -> list[Hypothesis]:
    """The best of each group, then the second best of each, up to `nbest`; best score first."""
    found: dict[tuple[int, ...], Hypothesis] = {}
    for rank in range(max(map(len, beams))):
        for beam in beams:
            if rank < len(beam):
                found.setdefault(beam[rank].tokens, beam[rank])
    chosen = list(found.values())[:nbest]
    return sorted(chosen, key=lambda h: -h.score)
