"""Time lags between corresponding words (Sutskever, Vinyals and Le 2014, section 3.3).

A recurrent encoder-decoder reads one token in each step: the I source words, EOS, BOS, then the
target words. Source word i (from 0) is read in step i + 1 or, if the source is reversed, in step
I - i. Target word j is predicted in step I + 2 + j, which reads BOS or the target word before it.
(In the paper's figure 1, one token is both EOS and BOS, so that its lags are shorter by 1.) The lag
of a link between i and j is the difference of both steps. The minimal time lag of a sentence is the
smallest of its links.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2st.text.word_alignments import Links


@dataclass(frozen=True)
class LagSummary:
    """Lags of all sentences for one order of reading the source.

    Attributes:
        order: "forward" or "reversed".
        sentences: number of sentences with links.
        links: number of their links.
        minimal: mean over the sentences of the minimal time lag, in steps.
        mean: mean over the sentences of the mean lag of the sentence's links.
        smallest: smallest lag of all links.
        counts: (lag, number of links), by rising lag.
    """

    order: str
    sentences: int
    links: int
    minimal: float
    mean: float
    smallest: int
    counts: tuple[tuple[int, int], ...]


def reading_step(place: int, words: int, reads_reversed: bool) -> int:
    """Return the step, from 1, in which the source token at a place from 0 is read.

    Args:
        place: the place in the text; `words` for EOS.
        words: number of source tokens without EOS.
        reads_reversed: whether the last word is read first.
    """
    return words - place if reads_reversed and place < words else place + 1


def time_lag(place: int, words: int, predicted: int, reads_reversed: bool) -> int:
    """Return the number of steps from reading a source token to predicting a target token.

    Args:
        place, words, reads_reversed: as in `reading_step`.
        predicted: place of the target token in the order of prediction, from 0.
    """
    return words + 2 + predicted - reading_step(place, words, reads_reversed)


def link_lags(
    links: Links,
    spans: tuple[Sequence[range], Sequence[range]],
    reads_reversed: bool,
    right_to_left: bool = False,
) -> list[int]:
    """Return the lag of each link of a sentence pair.

    A word that consists of several tokens takes part with the nearest one.

    Args:
        links: pairs of word numbers.
        spans: the places of the tokens of each source word and of each target word.
        reads_reversed: whether the model reads the last source token first.
        right_to_left: whether the model predicts the last target token first.
    """
    source, target = spans
    words = source[-1].stop if source else 0
    length = target[-1].stop if target else 0
    return [
        min(
            time_lag(s, words, length - 1 - t if right_to_left else t, reads_reversed)
            for s in source[i]
            for t in target[j]
        )
        for i, j in links
    ]


def summarize(order: str, sentences: Sequence[Sequence[int]]) -> LagSummary:
    """Return the summary of the lags of each sentence; at least one sentence must have links."""
    linked = [lags for lags in sentences if lags]
    values, counts = np.unique([lag for lags in linked for lag in lags], return_counts=True)
    return LagSummary(
        order=order,
        sentences=len(linked),
        links=int(counts.sum()),
        minimal=float(np.mean([min(lags) for lags in linked])),
        mean=float(np.mean([np.mean(lags) for lags in linked])),
        smallest=int(values[0]),
        counts=tuple(zip(values.tolist(), counts.tolist(), strict=True)),
    )
