"""The largest `--max-tokens` that fits the memory, measured with growing batches.

The largest batches are never tried: once half of the free memory is in use, the rest is
extrapolated from the steepest growth that was measured. Imports no torch.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from s2st.data.batch_planner import (
    DEFAULT_BATCH_SIZE,
    BatchingConfig,
    Indices,
)

FIRST_TOKENS = 512  # of the smallest batch that is tried
USABLE = 0.9  # share of the available memory that batches may fill
TRIED = 0.5  # share of the free part of it up to which batches are tried
MAX_EXTRAPOLATION = 4  # times the largest batch that was tried
MIN_UPDATES = 100  # of an epoch with `--max-tokens auto`


@dataclass(frozen=True)
class TokenLimit:
    """The largest number of tokens of a batch that fits the memory.

    Attributes:
        tokens: the number; 0 if the smallest batch does not fit.
        tried: tokens of the largest batch that was trained on.
        whole: whether no batch can be larger, so that every larger limit fits too.
    """

    tokens: int
    tried: int
    whole: bool


def find_token_limit(
    peak_of: Callable[[int], int],
    base: int,
    available: int,
    first: int,
    ceiling: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> TokenLimit:
    """Try batches of more and more tokens, and extrapolate their memory.

    Args:
        peak_of: trains on the heaviest batch for a limit of tokens; returns the peak in bytes.
        base: the peak with the smallest batch: weights, gradients and optimizer state.
        available: bytes of memory that the process can have in all.
        first: the smallest limit to try, in tokens.
        ceiling: no batch has more tokens than this.
        seconds: begin no trial that is expected to end later.
        clock: seconds that have passed.
    """
    points = [(0, base)]  # tokens, peak
    usable = USABLE * available
    most = base + TRIED * (usable - base)
    started, tokens = clock(), min(first, ceiling)
    while True:
        began = clock()
        peak = peak_of(tokens)
        now = clock()
        if peak > usable:
            break
        points.append((tokens, peak))
        if tokens == ceiling:
            return TokenLimit(ceiling, ceiling, True)
        following = min(2 * tokens, ceiling)
        expected = peak + _slope(points) * (following - tokens)
        if expected > most or now + 2 * (now - began) > started + seconds:
            break
        tokens = following
    tried, peak = points[-1]
    if not tried:
        return TokenLimit(0, tokens, False)
    slope = _slope(points)
    fits = tried + int((usable - peak) / slope) if slope > 0 else ceiling
    found = min(fits, MAX_EXTRAPOLATION * tried, ceiling)
    return TokenLimit(found, tried, found == ceiling)


def _slope(points: Sequence[tuple[int, int]]) -> float:
    """Return the steepest growth between neighbors, in bytes per token."""
    return max(
        (peak - before) / (tokens - fewer) for (fewer, before), (tokens, peak) in pairwise(points)
    )


def heaviest(batches: Sequence[Indices], sources: Indices, targets: Indices) -> list[Indices]:
    """Return the batch with the most padded tokens, and the one with the most attention weights.

    Args:
        batches: indices of the sentences of each batch.
        sources, targets: number of words of every sentence.
    """
    widths = [(int(sources[b].max()) + 1, int(targets[b].max()) + 1) for b in batches]
    tokens = [len(b) * (s + t) for b, (s, t) in zip(batches, widths, strict=True)]
    squares = [len(b) * (s * s + s * t + t * t) for b, (s, t) in zip(batches, widths, strict=True)]
    chosen = dict.fromkeys((int(np.argmax(tokens)), int(np.argmax(squares))))
    return [batches[index] for index in chosen]


def largest_batch(config: BatchingConfig, longest: int, pairs: int) -> int:
    """Return the padded tokens of one side that no batch exceeds without `max_tokens`.

    Args:
        config: its `batch_size` counts if it is set.
        longest: words of the longest sentence.
        pairs: number of sentence pairs.
    """
    return min(config.batch_size or pairs, pairs) * (longest + 1)


@dataclass(frozen=True)
class TokenGoal:
    """The tokens of a batch that training should have if they fit, and the rule that chose them."""

    tokens: int
    rule: str


def tokens_for_updates(lengths: Indices, batches_per_update: int) -> TokenGoal:
    """Return the tokens of a batch that leave MIN_UPDATES updates per epoch.

    A batch has at least the tokens of the default number of average sentences, and those of the
    longest pair.

    Args:
        lengths: number of words of the longer side of every pair.
        batches_per_update: number of batches of an update.
    """
    tokens = int(lengths.sum()) + len(lengths)
    average = tokens / max(1, len(lengths))
    shared = tokens // (MIN_UPDATES * batches_per_update)
    default = round(DEFAULT_BATCH_SIZE * average)
    few = f"an epoch has too few pairs for {MIN_UPDATES} updates"
    goals = (
        TokenGoal(shared, f"an epoch has at least about {MIN_UPDATES} updates"),
        TokenGoal(default, f"{DEFAULT_BATCH_SIZE} average pairs, as by default: {few}"),
        TokenGoal(int(lengths.max(initial=0)) + 1, "the longest pair"),
    )
    return max(goals, key=lambda goal: goal.tokens)
