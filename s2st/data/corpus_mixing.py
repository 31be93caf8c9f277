"""Mixing of several corpora: how many pairs of each corpus an epoch has, and which ones.

An epoch has as many pairs as all corpora together. By default each pair occurs once. With weights
or a temperature a corpus of n pairs gives m of them, which can be fewer or more than n. Over the
epochs it gives its pairs in rounds: every pair once, in random order, then every pair once again.
The pairs of an epoch are a function of (seed, epoch, sizes, weights).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from s2st.errors import UsageError
from s2st.options.option_fields import MAX_WEIGHT, option

Indices = npt.NDArray[np.int64]
MIXING = 0x6D6978  # keeps these draws apart from those of the batch planner


@dataclass(frozen=True)
class MixingConfig:
    """Options for the mixture of several training corpora."""

    corpus_weight: tuple[str, ...] = option(
        (),
        "NAME=W: share of a corpus in an epoch, relative to the others'; give one for each corpus; "
        "default: each pair once per epoch",
    )
    corpus_temperature: float | None = option(
        None,
        "shares proportional to the sizes to the power of 1/T: 1 for the sizes, larger for more of "
        "the small corpora (5 in Arivazhagan et al. 2019)",
        minimum=0.01,
        maximum=1_000_000,
    )


def shares_of(config: MixingConfig, sizes: Sequence[tuple[str, int]]) -> list[float] | None:
    """Return the relative share of each corpus; None if each pair occurs once.

    Args:
        config: the options.
        sizes: name and number of pairs of each corpus.

    Raises:
        UsageError: an option that does not fit the corpora.
    """
    if config.corpus_weight:
        if config.corpus_temperature is not None:
            raise UsageError("give --corpus-weight or --corpus-temperature, not both")
        return _weights(config.corpus_weight, [name for name, _ in sizes])
    if config.corpus_temperature is None:
        return None
    logarithms = np.log([size for _, size in sizes]) / config.corpus_temperature
    shares: list[float] = np.exp(logarithms - logarithms.max()).tolist()
    return shares


def _weights(items: Sequence[str], names: Sequence[str]) -> list[float]:
    weights: dict[str, float] = {}
    for item in items:
        name, sign, text = item.rpartition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not sign or not 0 <= weight <= MAX_WEIGHT:
            raise UsageError(
                f"--corpus-weight {item}: expected NAME=W with a number from 0 to {MAX_WEIGHT:g}"
            )
        if name not in names:
            raise UsageError(
                f"--corpus-weight {item}: no such corpus; the store has {', '.join(names)}"
            )
        if name in weights:
            raise UsageError(f"--corpus-weight: two weights for {name}")
        weights[name] = weight
    missing = [name for name in names if name not in weights]
    if missing:
        raise UsageError(f"--corpus-weight: give a weight for {', '.join(missing)}, too")
    if not any(weights.values()):
        raise UsageError("--corpus-weight: at least one weight must be above 0")
    return [weights[name] for name in names]


def pairs_per_epoch(sizes: Sequence[int], shares: Sequence[float] | None) -> list[int]:
    """Return how many pairs of each corpus an epoch has; their sum is the sum of the sizes.

    The numbers are proportional to the shares, rounded by the largest remainder.
    """
    if shares is None:
        return list(sizes)
    exact = [Fraction(share) for share in shares]
    whole = sum(sizes)
    quotas = [share * whole / sum(exact) for share in exact]
    counts = [int(quota) for quota in quotas]
    order = sorted(range(len(counts)), key=lambda i: (counts[i] - quotas[i], i))
    for index in order[: whole - sum(counts)]:
        counts[index] += 1
    return counts


def pairs_of_epoch(sizes: Sequence[int], counts: Sequence[int], seed: int, epoch: int) -> Indices:
    """Return the pairs of an epoch in ascending order, numbered over all corpora.

    Args:
        sizes: number of pairs of each corpus.
        counts: number of pairs of each corpus in an epoch.
        seed, epoch: with the numbers they determine the result.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    chosen = [
        start + _drawn(size, count, (seed, MIXING, corpus), epoch)
        for corpus, (start, size, count) in enumerate(zip(starts, sizes, counts, strict=True))
    ]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))


def _drawn(size: int, count: int, key: tuple[int, int, int], epoch: int) -> Indices:
    """Return `count` pairs of a corpus: those from epoch * count on in its sequence of rounds."""
    found = []
    place, end = epoch * count, (epoch + 1) * count
    while place < end:
        number, first = divmod(place, size)
        last = min(size, first + end - place)
        if last - first == size:
            found.append(np.arange(size))  # a whole round, whose order does not matter
        else:
            found.append(
                np.random.Generator(np.random.PCG64([*key, number])).permutation(size)[first:last]
            )
        place += last - first
    return np.concatenate([np.zeros(0, np.int64), *found])
