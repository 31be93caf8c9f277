"""Ranking of an n-best list: features and weighted total of each hypothesis, best hypothesis."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from s2st.jobs.rescore.scored_list import ScoredList
from s2st.rescoring.consensus import standardized
from s2st.rescoring.feature_weights import (
    BASELINE,
    CONSENSUS,
    LENGTH,
    Features,
    Weights,
    is_ours,
)
from s2st.text.line_files import split_words
from s2st.text.nbest_lists import NBestEntry


@dataclass(frozen=True)
class RankedList:
    """One list with new features and totals.

    The baseline's total becomes the feature `Baseline`. Features of an earlier rescoring are
    replaced.

    Attributes:
        scored: the list with the models' scores.
        entries: the hypotheses with new features and totals, in the order of the file.
        best: index of the highest total, the first one on a tie. Totals that are not finite rank
            last.
    """

    scored: ScoredList
    entries: tuple[NBestEntry, ...]
    best: int

    @property
    def id(self) -> int:
        """Sentence number from 0."""
        return self.scored.id

    def order(self) -> list[int]:
        """Return the indices of the entries, best first; equal totals keep their order."""
        return sorted(range(len(self.entries)), key=lambda i: -_key(self.entries[i].total))


def features_of(scored: ScoredList, length: bool) -> list[Features]:
    """Return the features of each hypothesis.

    Args:
        scored: the list with the models' scores.
        length: whether the number of words is a feature.

    Returns:
        For each hypothesis the baseline's features, Baseline, one feature per model, the length if
        requested, and the consensus if the list has it.
    """
    names = scored.names
    features = []
    consensus = scored.consensus
    for index, (entry, row) in enumerate(
        zip(scored.entries, scored.model_scores.tolist(), strict=True)
    ):
        old = tuple(feature for feature in entry.features if not is_ours(feature[0]))
        new: Features = ((BASELINE, (entry.total,)),)
        new += tuple((name, (value,)) for name, value in zip(names, row, strict=True))
        if length:
            new += ((LENGTH, (float(len(split_words(entry.hypothesis))),)),)
        if consensus is not None:
            new += ((CONSENSUS, (float(consensus[index]),)),)
        features.append(old + new)
    return features


def present_scores(scored: ScoredList) -> npt.NDArray[np.float64]:
    """Return (n,) the scores that the consensus is computed under.

    They are the even average: one half for the baseline's total, the other for the mean of the
    models, each divided by its standard deviation in the list. Without models, the total.
    """
    total = standardized(np.array(scored.totals))
    if not scored.names:
        return total
    models = [standardized(column) for column in scored.model_scores.T]
    found: npt.NDArray[np.float64] = 0.5 * total + 0.5 * np.mean(models, axis=0)
    return found


def rank(scored: ScoredList, weights: Weights, length: bool, centered: bool) -> RankedList:
    """Rank a list by the weighted sum of its features.

    Args:
        scored: the list with the models' scores.
        weights: the weights of the features.
        length: whether the number of words is a feature.
        centered: whether to subtract the list's mean from the totals.
    """
    features = features_of(scored, length)
    totals = [weights.total(row) for row in features]
    if centered:
        finite = [total for total in totals if math.isfinite(total)]
        mean = sum(finite) / max(1, len(finite))
        totals = [total - mean for total in totals]
    entries = tuple(
        replace(entry, features=row, total=total)
        for entry, row, total in zip(scored.entries, features, totals, strict=True)
    )
    best = max(range(len(entries)), key=lambda i: (_key(totals[i]), -i))
    return RankedList(scored, entries, best)


def _key(total: float) -> float:
    """Return the sort key of a total; totals that are not finite rank last."""
    return total if math.isfinite(total) else -math.inf
