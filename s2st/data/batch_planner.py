"""Batch planner: which sentences form which batch, as a function of lengths and seed only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.options.option_fields import option

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BatchingConfig:
    """Options for size and order of batches."""

    batch_size: int = option(64, "sentence pairs per batch", minimum=1, maximum=1_000_000)
    max_tokens: int | None = option(
        None,
        "also limit a batch to this many padded tokens on its larger side",
        minimum=1,
        maximum=1_000_000_000,
    )
    batching: str = option(
        "bucketed",
        "batches of sentences of similar length, or of random sentences",
        choices=("bucketed", "random"),
    )


def plan_batches(
    source_lengths: Indices,
    target_lengths: Indices,
    config: BatchingConfig,
    seed: int,
    epoch: int,
    batches_per_update: int = 1,
) -> list[Indices]:
    """Plan the batches of one epoch; every sentence is in exactly one.

    Bucketed batching sorts randomly ordered sentences by (target, source) length, cuts them into
    batches, and shuffles the batches. The paper reports twice the speed of random batches. The
    batches of an update are neighbors in the sorted order, so that ranks get similar work: the
    planner shuffles groups of neighbors. Batches that do not fill a group come last.

    Args:
        source_lengths, target_lengths: number of tokens of each sentence.
        config: size and order of batches.
        seed, epoch: with `batches_per_update`, they determine the plan.
        batches_per_update: number of batches of an update.

    Returns:
        Arrays of sentence indices, in the order of training.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(source_lengths))
    if config.batching == "bucketed":
        order = _sorted(_sorted(order, source_lengths), target_lengths)
    batches = cut(order, np.maximum(source_lengths, target_lengths), config)
    if batches_per_update == 1 or config.batching == "random":
        return [batches[i] for i in generator.permutation(len(batches))]
    count = len(batches) // batches_per_update
    # draw the incomplete group, so that it is not always the one with the longest sentences
    before = int(generator.integers(count + 1)) * batches_per_update
    short = batches[before : before + len(batches) % batches_per_update]
    full = batches[:before] + batches[before + len(short) :]
    starts = generator.permutation(count) * batches_per_update
    return [batch for start in starts for batch in full[start : start + batches_per_update]] + short


def _sorted(order: Indices, lengths: Indices) -> Indices:
    """Sort sentences by length; the sort is stable."""
    # use the smallest type: numpy sorts 16-bit keys by radix, several times as fast
    keys = lengths.astype(np.min_scalar_type(lengths.max(initial=0)))
    return order[np.argsort(keys[order], kind="stable")]


def plan_in_order(lengths: Indices, config: BatchingConfig) -> list[Indices]:
    """Plan batches of all sentences for decoding and scoring, longest sentences first."""
    order = np.argsort(-lengths, kind="stable")
    return cut(order, lengths, config)


def cut(order: Indices, lengths: Indices, config: BatchingConfig) -> list[Indices]:
    """Cut a sequence of sentences into batches within both limits; one sentence always fits."""
    if config.max_tokens is None:
        size = config.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]
    batches = []
    start = 0
    while start < len(order):
        first = int(lengths[order[start]]) + 1  # EOS
        most = max(1, min(config.batch_size, config.max_tokens // first))
        widths = np.maximum.accumulate(lengths[order[start : start + most]]) + 1
        padded = widths * np.arange(1, len(widths) + 1)  # tokens of the first 1, 2, ... sentences
        end = start + max(1, int(np.searchsorted(padded, config.max_tokens, side="right")))
        batches.append(order[start:end])
        start = end
    return batches
