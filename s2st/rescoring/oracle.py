"""Oracle and worst choices from n-best lists, and bootstrap intervals of BLEU."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2st.rescoring.bleu_statistics import Floats, Statistics, bleu, sentence_bleu
from s2st.rescoring.line_search import Indices

MAX_PASSES = 20


def best_by_sentence(statistics: Sequence[Statistics]) -> Indices:
    """Return (lists,) the hypothesis with the highest sentence BLEU, the first on a tie."""
    return np.array([int(np.argmax(sentence_bleu(rows))) for rows in statistics], dtype=np.int64)


def best_by_corpus(statistics: Sequence[Statistics], worst: bool = False) -> Indices:
    """Return (lists,) a choice whose corpus BLEU no single change improves.

    The search is greedy and uses the exact corpus counts. It starts from the choice by sentence
    BLEU, and passes over the lists until nothing changes.

    Args:
        statistics: (n, 9) BLEU statistics of each list's hypotheses.
        worst: whether to minimize corpus BLEU instead.
    """
    sign = -1.0 if worst else 1.0
    chosen = np.array(
        [int(np.argmax(sign * sentence_bleu(rows))) for rows in statistics], dtype=np.int64
    )
    total = picked(statistics, chosen).sum(axis=0)
    for _ in range(MAX_PASSES):
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
    """Return (lists, 9) the statistics of the chosen hypotheses."""
    return np.array(
        [rows[index] for rows, index in zip(statistics, chosen, strict=True)], dtype=np.int64
    )


@dataclass(frozen=True)
class Interval:
    """A BLEU value in percent, with its 95 % interval from bootstrap resampling."""

    value: float
    low: float
    high: float


def resamples(lists: int, samples: int, seed: int) -> Statistics:
    """Return (samples, lists) how often each list is drawn; use one draw for all systems."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.multinomial(lists, np.full(lists, 1 / lists), size=samples)


def bleu_interval(rows: Statistics, draws: Statistics) -> Interval:
    """Return the corpus BLEU of a choice (lists, 9) with its interval (Koehn 2004)."""
    scores = bleu(draws @ rows)
    low, high = np.percentile(scores, [2.5, 97.5])
    return Interval(float(bleu(rows.sum(axis=0))), float(low), float(high))


def gain_interval(rows: Statistics, baseline: Statistics, draws: Statistics) -> Interval:
    """Return BLEU of a choice minus BLEU of the baseline, by paired bootstrap resampling."""
    gains: Floats = bleu(draws @ rows) - bleu(draws @ baseline)
    low, high = np.percentile(gains, [2.5, 97.5])
    value = float(bleu(rows.sum(axis=0)) - bleu(baseline.sum(axis=0)))
    return Interval(value, float(low), float(high))
