"""Chooses the weight of the model's feature on validation lists that s2st has rescored.

Moses' totals are defined only up to a positive factor, so an even average of raw scores may be
nearly the model's choice alone. A grid of weights and BLEU on validation data is enough here.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU

from s2st.text.lines import read_lines
from s2st.text.nbest import NBestEntry, read_nbest

# weight of the model; the baseline's total has weight 1
GRID = (0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


def choose_weight(nbest: Path, reference: Path) -> float:
    """The weight of the grid with the highest tokenised BLEU on the lists."""
    references = list(read_lines(reference))
    ids = [key for key, _ in groupby(entry.id for entry in entries(nbest))]
    chosen = [references[i] for i in ids]
    metric = BLEU(tokenize="none", force=True)
    scored = []
    for weight in GRID:
        hypotheses = list(first_of_each(nbest, weight))
        scored.append((metric.corpus_score(hypotheses, [chosen]).score, weight))
        print(f"  model x {weight:g}: BLEU {scored[-1][0]:.2f} on {len(ids)} validation lists")
    return max(scored)[1]


def entries(nbest: Path) -> Iterator[NBestEntry]:
    """All entries of a file."""
    for group in read_nbest(read_lines(nbest), str(nbest)):
        yield from group


def first_of_each(nbest: Path, weight: float) -> Iterator[str]:
    """The best hypothesis of each list by baseline total + weight x model."""
    for group in read_nbest(read_lines(nbest), str(nbest)):
        best = max(group, key=lambda entry: baseline(entry) + weight * model(entry))
        yield best.hypothesis


def model(entry: NBestEntry) -> float:
    """The feature that s2st added."""
    return dict(entry.features)["S2ST0"][0]


def baseline(entry: NBestEntry) -> float:
    """The baseline's own total, which s2st keeps as a feature."""
    return dict(entry.features)["Baseline"][0]
