"""The batch planner: which sentences form which batch, a pure function of lengths and seed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.options.config import option

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BatchingConfig:
    """Options that size and order batches."""

    batch_size: int = option(64, "sentence pairs a batch", minimum=1, maximum=1_000_000)
    max_tokens: int | None = option(
        None,
        "padded tokens of the larger side a batch, as a second limit",
        minimum=1,
        maximum=1_000_000_000,
    )
    batching: str = option(
        "bucketed",
        "sentences of near-equal length together, or random ones",
        choices=("bucketed", "random"),
    )


def plan_batches(
    source_lengths: Indices,
    target_lengths: Indices,
    config: BatchingConfig,
    seed: int,
    epoch: int,
    together: int = 1,
) -> list[Indices]:
    """The batches of one epoch, in order; every sentence is in exactly one.

    Bucketed: sentences in random order are sorted by (target, source) length, cut into batches,
    and the batches are shuffled. The paper reports a factor of 2 in speed over random batches.
    The batches of an update are neighbours in that order, so that ranks get like work: groups of
    them are shuffled. Those that fill no group come last.

    Args:
        source_lengths, target_lengths: tokens of each sentence.
        config: sizes and order.
        seed, epoch: the plan is a function of both and of `together`.
        together: batches of an update.

    Returns:
        Arrays of sentence indices.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(source_lengths))
    if config.batching == "bucketed":
        order = _sorted(_sorted(order, source_lengths), target_lengths)
    batches = cut(order, np.maximum(source_lengths, target_lengths), config)
    if together == 1 or config.batching == "random":
        return [batches[i] for i in generator.permutation(len(batches))]
    count = len(batches) // together
    # the group that is too short is not always the one of the longest sentences
    before = int(generator.integers(count + 1)) * together
    short = batches[before : before + len(batches) % together]
    full = batches[:before] + batches[before + len(short) :]
    starts = generator.permutation(count) * together
    return [batch for start in starts for batch in full[start : start + together]] + short


def _sorted(order: Indices, lengths: Indices) -> Indices:
    """The sentences by length, those of equal length in the order that they had."""
    # in the smallest type: numpy sorts 16 bits by radix, several times as fast
    keys = lengths.astype(np.min_scalar_type(lengths.max(initial=0)))
    return order[np.argsort(keys[order], kind="stable")]


def plan_in_order(lengths: Indices, config: BatchingConfig) -> list[Indices]:
    """Batches of all sentences sorted by length, longest first, for decoding and scoring."""
    order = np.argsort(-lengths, kind="stable")
    return cut(order, lengths, config)


def cut(order: Indices, lengths: Indices, config: BatchingConfig) -> list[Indices]:
    """Cuts an order of sentences into batches within both limits; one sentence always fits."""
    if config.max_tokens is None:
        size = config.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]
    batches = []
    start = 0
    while start < len(order):
        first = int(lengths[order[start]]) + 1  # EOS
        most = max(1, min(config.batch_size, config.max_tokens // first))
        widths = np.maximum.accumulate(lengths[order[start : start + most]]) + 1
        padded = widths * np.arange(1, len(widths) + 1)  # tokens of the first 1, 2, ... of them
        end = start + max(1, int(np.searchsorted(padded, config.max_tokens, side="right")))
        batches.append(order[start:end])
        start = end
    return batches
