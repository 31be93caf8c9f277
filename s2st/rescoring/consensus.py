"""Consensus of an n-best list: BLEU or chrF of each hypothesis against all others.

The feature needs no model. It is the metric of a hypothesis' expected statistics against the other
hypotheses of its list (DeNero et al. 2009, "Fast Consensus Decoding over Translation Forests"):
expected clipped matches and expected reference length, where a hypothesis' probability is the
softmax of its present score. Clipped matches are sums over n-gram occurrences, so all expected
matches take one pass over the list's n-grams and no loop over pairs.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from s2st.rescoring.bleu_statistics import COLUMNS, ORDERS, sentence_bleu
from s2st.rescoring.metrics import CHARACTER_ORDERS, Chrf, Tokenize
from s2st.rescoring.ngram_occurrences import (
    Floats,
    Occurrences,
    character_rows,
    count_occurrences,
    word_rows,
)
from s2st.text.line_files import split_words

DOMINANT = 0.5  # above this probability, the others' rest is added up, not subtracted
Kind = Literal["bleu", "chrf"]


class Consensus:
    """Computes the feature of a list.

    Args:
        kind: the metric.
        scale: probabilities are proportional to exp(scale * score), where scores are divided by
            their standard deviation in the list; 0 gives all hypotheses the same probability.
        tokenize: cuts a text into words, for BLEU.
    """

    def __init__(self, kind: Kind, scale: float, tokenize: Tokenize = split_words) -> None:
        self._kind = kind
        self._scale = scale
        self._tokenize = tokenize

    def values(self, hypotheses: Sequence[str], scores: Floats) -> Floats:
        """Return (n,) the metric in percent of each hypothesis; 0 in a list of one.

        Args:
            hypotheses: n texts.
            scores: (n,) their present scores, larger is better. A score that is not finite has
                probability 0.
        """
        if len(hypotheses) == 1:
            return np.zeros(1)
        probabilities = posterior(scores, self._scale)
        if self._kind == "bleu":
            words = [self._tokenize(text) for text in hypotheses]
            return _expected_bleu(count_occurrences(word_rows(words), ORDERS), probabilities)
        rows = character_rows(hypotheses)
        return _expected_chrf(count_occurrences(rows, CHARACTER_ORDERS), probabilities)


def standardized(scores: Floats) -> Floats:
    """Return scores (n,) divided by their standard deviation, of which 0 counts as 1.

    Scores that are not finite become -inf.
    """
    finite = np.isfinite(scores)
    if not finite.any():
        return np.full(len(scores), -np.inf)
    known = scores[finite]
    deviation = float(known.std())
    shifted = np.full(len(scores), -np.inf)
    # equal scores may differ by rounding
    usable = deviation > 1e-12 * max(1.0, float(np.abs(known).max()))
    shifted[finite] = (known - known.mean()) / (deviation if usable else 1.0)
    return shifted


def posterior(scores: Floats, scale: float) -> Floats:
    """Return (n,) probabilities proportional to exp(scale * standardized score)."""
    values = standardized(scores)
    finite = np.isfinite(values)
    if not finite.any():
        return np.full(len(scores), 1 / len(scores))
    weights = np.zeros(len(scores))
    weights[finite] = np.exp(scale * (values[finite] - values[finite].max()))
    found: Floats = weights / weights.sum()
    return found


def _others(own: Floats, total: Callable[[Floats], Floats], probabilities: Floats) -> Floats:
    """Return (n,) the expectation over the other hypotheses, given that over all.

    Args:
        own: (n,) the value of each hypothesis against itself.
        total: takes weights (n,) of the hypotheses, and returns (n,) the weighted sum of each
            hypothesis' values against all.
        probabilities: (n,) the weights.
    """
    rest = 1 - probabilities
    top = int(probabilities.argmax())
    weights = probabilities.copy()
    dominant = probabilities[top] > DOMINANT
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (total(probabilities) - probabilities * own) / rest
    if dominant:  # the difference would lose its digits
        weights[top] = 0
        size = weights.sum()
        if size == 0:
            weights[:] = 1
            weights[top] = 0
            size = weights.sum()
        found[top] = total(weights)[top] / size
    return found


def _expected_bleu(orders: Sequence[Occurrences], probabilities: Floats) -> Floats:
    table = np.zeros((len(probabilities), COLUMNS))
    for index, found in enumerate(orders):
        counts = found.counts().astype(np.float64)
        table[:, index] = _matches(found, counts, probabilities)
        table[:, ORDERS + index] = counts
    lengths = table[:, ORDERS]
    table[:, -1] = _lengths(lengths, probabilities)
    return sentence_bleu(table)


def _expected_chrf(orders: Sequence[Occurrences], probabilities: Floats) -> Floats:
    table = np.zeros((len(probabilities), Chrf.columns))
    for index, found in enumerate(orders):
        counts = found.counts().astype(np.float64)
        table[:, 3 * index] = counts
        table[:, 3 * index + 1] = _lengths(counts, probabilities)
        table[:, 3 * index + 2] = _matches(found, counts, probabilities)
    return Chrf().corpus(table)


def _lengths(counts: Floats, probabilities: Floats) -> Floats:
    """Return (n,) the expected number of n-grams of the others, for each hypothesis."""
    return _others(counts, lambda w: np.full(len(w), w @ counts), probabilities)


def _matches(found: Occurrences, counts: Floats, probabilities: Floats) -> Floats:
    """Return (n,) the expected clipped matches of each hypothesis with the others."""
    return _others(counts, lambda w: found.sums(found.mass(w)), probabilities)
