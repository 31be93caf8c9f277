"""The batch planner: which sentences form which batch, a pure function of lengths and seed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.config import option

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BatchingConfig:
    """Options that size and order batches."""

    batch_size: int = option(64, "sentence pairs a batch", minimum=1)
    max_tokens: int | None = option(
        None, "padded tokens of the larger side a batch, as a second limit", minimum=1
    )
    batching: str = option(
        "bucketed",
        "sentences of near-equal length together, or random ones",
        choices=("bucketed", "random"),
    )


def plan_batches(
    source_lengths: Indices, target_lengths: Indices, config: BatchingConfig, seed: int, epoch: int
) -> list[Indices]:
    """The batches of one epoch, in order; every sentence is in exactly one.

    Bucketed: sentences in random order are sorted by (target, source) length, cut into batches,
    and the batches are shuffled. The paper reports a factor of 2 in speed over random batches.

    Args:
        source_lengths, target_lengths: tokens of each sentence.
        config: sizes and order.
        seed, epoch: the plan is a function of both.

    Returns:
        Arrays of sentence indices.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(source_lengths))
    if config.batching == "bucketed":
        order = order[np.lexsort((source_lengths[order], target_lengths[order]))]
    batches = cut(order, np.maximum(source_lengths, target_lengths), config)
    return [batches[i] for i in generator.permutation(len(batches))]


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
    start = widest = 0
    for position, index in enumerate(order):
        wider = max(widest, int(lengths[index]) + 1)  # EOS
        count = position - start + 1
        if count > 1 and (count > config.batch_size or wider * count > config.max_tokens):
            batches.append(order[start:position])
            start, wider = position, int(lengths[index]) + 1
        widest = wider
    if len(order):
        batches.append(order[start:])
    return batches
