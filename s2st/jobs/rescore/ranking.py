"""Ranking an n-best list: the features of each hypothesis, its new total, and the best one."""

import math
from dataclasses import dataclass, replace

from s2st.jobs.rescore.scored_list import ScoredList
from s2st.rescoring.feature_weights import BASELINE, LENGTH, Features, Weights, is_ours
from s2st.text.line_files import split_words
from s2st.text.nbest_lists import NBestEntry


@dataclass(frozen=True)
class RankedList:
    """One list with new features and totals.

    The baseline's total is kept as the feature `Baseline`; features of an earlier rescoring are
    replaced.

    Attributes:
        entries: the hypotheses with new features and totals, in the order of the file.
        best: index of the highest total, the first of equals; not finite ranks last.
    """

    scored: ScoredList
    entries: tuple[NBestEntry, ...]
    best: int

    @property
    def id(self) -> int:
        """Sentence number from 0."""
        return self.scored.id

    def order(self) -> list[int]:
        """Indices of the entries, best first; equals stay in order."""
        return sorted(range(len(self.entries)), key=lambda i: -_key(self.entries[i].total))


def features_of(scored: ScoredList, length: bool) -> list[Features]:
    """Every hypothesis' features: its own, Baseline, one a model and, if asked, the length."""
    names = scored.names
    made = []
    for entry, row in zip(scored.entries, scored.model_scores.tolist(), strict=True):
        old = tuple(feature for feature in entry.features if not is_ours(feature[0]))
        new: Features = ((BASELINE, (entry.total,)),)
        new += tuple((name, (value,)) for name, value in zip(names, row, strict=True))
        if length:
            new += ((LENGTH, (float(len(split_words(entry.hypothesis))),)),)
        made.append(old + new)
    return made


def rank(scored: ScoredList, weights: Weights, length: bool, centered: bool) -> RankedList:
    """Totals of a list's hypotheses under the weights, less the list's mean if `centered`."""
    features = features_of(scored, length)
    totals = [weights.total(own) for own in features]
    if centered:
        finite = [total for total in totals if math.isfinite(total)]
        mean = sum(finite) / max(1, len(finite))
        totals = [total - mean for total in totals]
    entries = tuple(
        replace(entry, features=own, total=total)
        for entry, own, total in zip(scored.entries, features, totals, strict=True)
    )
    best = max(range(len(entries)), key=lambda i: (_key(totals[i]), -i))
    return RankedList(scored, entries, best)


def _key(total: float) -> float:
    """Totals that are not finite rank last."""
    return total if math.isfinite(total) else -math.inf
