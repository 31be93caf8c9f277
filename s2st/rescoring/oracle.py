"""How good a choice from the lists could be: the oracle, the worst, and their uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2st.rescoring.bleu_statistics import Floats, Statistics, bleu, sentence_bleu
from s2st.rescoring.line_search import Indices

MOST_PASSES = 20


def best_by_sentence(statistics: Sequence[Statistics]) -> Indices:
    """(lists,) the hypothesis of each list with the highest sentence BLEU, the first of equals."""
    return np.array([int(np.argmax(sentence_bleu(rows))) for rows in statistics], dtype=np.int64)


def best_by_corpus(statistics: Sequence[Statistics], worst: bool = False) -> Indices:
    """(lists,) a choice that no single change improves in corpus BLEU.

    Greedy over the exact corpus counts: starting from the choice by sentence BLEU, the lists are
    gone through until nothing changes. With `worst` the corpus BLEU is made low instead.
    """
    sign = -1.0 if worst else 1.0
    chosen = np.array(
        [int(np.argmax(sign * sentence_bleu(rows))) for rows in statistics], dtype=np.int64
    )
    total = picked(statistics, chosen).sum(axis=0)
    for _ in range(MOST_PASSES):
        changed = False
        for index, rows in enumerate(statistics):
            others = total - rows[chosen[index]]
            scores = sign * bleu(others + rows)
            best = int(np.argmax(scores))
            if scores[best] > scores[chosen[index]] + 1e-12:
                chosen[index], changed = best, True
                total = others + rows[best]
        if not changed:
            break
    return chosen


def picked(statistics: Sequence[Statistics], chosen: Indices) -> Statistics:
    """(lists, 9) the statistics of the chosen hypotheses."""
    return np.array(
        [rows[index] for rows, index in zip(statistics, chosen, strict=True)], dtype=np.int64
    )


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval from bootstrap resampling, in percent BLEU."""

    value: float
    low: float
    high: float


def resamples(lists: int, samples: int, seed: int) -> Statistics:
    """(samples, lists) how often each list is drawn; one draw serves all systems compared."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.multinomial(lists, np.full(lists, 1 / lists), size=samples)


def bleu_interval(rows: Statistics, draws: Statistics) -> Interval:
    """Corpus BLEU of a choice (lists, 9) and its interval (Koehn 2004)."""
    scores = bleu(draws @ rows)
    low, high = np.percentile(scores, [2.5, 97.5])
    return Interval(float(bleu(rows.sum(axis=0))), float(low), float(high))


def gain_interval(rows: Statistics, baseline: Statistics, draws: Statistics) -> Interval:
    """BLEU of a choice less that of the baseline, on the same draws (paired bootstrap)."""
    gains: Floats = bleu(draws @ rows) - bleu(draws @ baseline)
    low, high = np.percentile(gains, [2.5, 97.5])
    value = float(bleu(rows.sum(axis=0)) - bleu(baseline.sum(axis=0)))
    return Interval(value, float(low), float(high))
