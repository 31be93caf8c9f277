"""The hypotheses of a beam search, traced back through the choices of its steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.equal_key_runs import run_positions
from s2st.search.base import Hypothesis
from s2st.search.single_path import check_finite

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """The choices of one step, to trace hypotheses back: one entry per live row after the step."""

    parents: Ints
    tokens: Ints
    log_probs: npt.NDArray[np.floating]
    attention: npt.NDArray[np.floating] | None


@dataclass(frozen=True)
class Ended:
    """Hypotheses that took EOS in one step; `parents` are their rows before the step.

    The search ranks partial hypotheses by `totals`, and complete ones by `scores`.
    """

    step: int
    sentences: Ints
    parents: Ints
    log_probs: Floats
    totals: Floats
    scores: Floats
    forced: npt.NDArray[np.bool_]
    attention: npt.NDArray[np.floating] | None


def trace(
    levels: Sequence[Level],
    ended: Sequence[Ended],
    lengths_of_sources: Sequence[int],
    nbest: int,
    penalized: bool = False,
) -> list[list[Hypothesis]]:
    """The nbest best complete hypotheses of each source, best first.

    Args:
        levels: the choices of each step.
        ended: the complete hypotheses.
        lengths_of_sources: length of each source, EOS included.
        nbest: largest number of hypotheses per source.
        penalized: whether totals are not the sums of the scorer's log-probabilities.
    """
    if not ended:
        check_finite(math.nan)
    names = ("sentences", "parents", "log_probs", "totals", "scores", "forced")
    sentences, rows, last, totals, scores, forced = (
        np.concatenate([getattr(one, name) for one in ended]) for name in names
    )
    lengths = np.repeat([one.step for one in ended], [len(one.scores) for one in ended])
    order = np.lexsort((-scores, sentences))  # stable: among equal scores, the one that ended first
    ranks = run_positions(torch.from_numpy(sentences[order])).numpy()
    chosen = order[ranks < nbest]
    rows, lengths = rows[chosen], lengths[chosen]
    width = int(lengths.max(initial=0))
    tokens = np.zeros((len(chosen), width), dtype=np.int64)
    log_probs = np.zeros((len(chosen), width + 1))
    log_probs[np.arange(len(chosen)), lengths] = last[chosen]
    attention: npt.NDArray[np.float32] | None = None
    if all(one.attention is not None for one in ended):
        final = np.concatenate([one.attention for one in ended if one.attention is not None])
        attention = np.zeros((len(chosen), width + 1, final.shape[1]), dtype=np.float32)
        attention[np.arange(len(chosen)), lengths] = final[chosen]
    for position in reversed(range(width)):
        longer = np.flatnonzero(lengths > position)
        level, level_rows = levels[position], rows[longer]
        tokens[longer, position] = level.tokens[level_rows]
        log_probs[longer, position] = level.log_probs[level_rows]
        if attention is not None and level.attention is not None:
            attention[longer, position] = level.attention[level_rows]
        rows[longer] = level.parents[level_rows]
    results: list[list[Hypothesis]] = [[] for _ in lengths_of_sources]
    for i, index in enumerate(chosen.tolist()):
        words = slice(0, int(lengths[i]))
        sentence = int(sentences[index])
        seen = (
            None
            if attention is None
            else attention[i, : words.stop + 1, : lengths_of_sources[sentence]]
        )
        results[sentence].append(
            Hypothesis(
                tuple(tokens[i, words].tolist()),
                tuple(log_probs[i, : words.stop + 1].tolist()),
                float(log_probs[i].sum() if penalized else totals[index]),
                float(scores[index]),
                not forced[index],
                seen,
            )
        )
    for hypotheses in results:
        check_finite(hypotheses[0].log_prob if hypotheses else math.nan)
    return results


def as_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The tensor as an array on the CPU."""
    return tensor.cpu().numpy()
