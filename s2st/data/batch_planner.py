"""Batch planner: which sentences form which batch, as a function of lengths and seed only."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from s2st.options.option_fields import option

Indices = npt.NDArray[np.int64]
AUTO = "auto"
DEFAULT_BATCH_SIZE, MAX_BATCH_SIZE = 64, 1_000_000


@dataclass(frozen=True)
class BatchingConfig:
    """Options for size and order of batches."""

    batch_size: int | None = option(
        None,
        f"sentence pairs per batch; default: {DEFAULT_BATCH_SIZE}, or no limit with --max-tokens",
        minimum=1,
        maximum=MAX_BATCH_SIZE,
    )
    max_tokens: int | Literal["auto"] | None = option(
        None,
        "padded tokens of the larger side of a batch; auto: measure how many fit the memory, and "
        "leave enough updates per epoch",
        minimum=1,
        maximum=1_000_000_000,
        words=(AUTO,),
    )
    batching: str = option(
        "bucketed",
        "batches of sentences of similar length, or of random sentences",
        choices=("bucketed", "random"),
    )

    def limits(self) -> tuple[int, int | None]:
        """Return the largest number of sentences and of padded tokens of a batch.

        Raises:
            ValueError: `max_tokens` is still "auto".
        """
        if isinstance(self.max_tokens, str):
            raise ValueError("measure max_tokens first")
        default = DEFAULT_BATCH_SIZE if self.max_tokens is None else MAX_BATCH_SIZE
        return self.batch_size or default, self.max_tokens


def plan_batches(
    source_lengths: Indices,
    target_lengths: Indices,
    config: BatchingConfig,
    seed: int,
    epoch: int,
    batches_per_update: int = 1,
    chosen: Indices | None = None,
    starts: Indices | None = None,
) -> list[Indices]:
    """Plan the batches of one epoch; every chosen sentence is in exactly one.

    Bucketed batching sorts randomly ordered sentences by (target, source) length, cuts them into
    batches, and shuffles the batches. The paper reports twice the speed of random batches. The
    batches of an update are neighbors in the sorted order, so that ranks get similar work: the
    planner shuffles groups of neighbors. Batches that do not fill a group come last.

    Args:
        source_lengths, target_lengths: number of tokens of each sentence.
        config: size and order of batches.
        seed, epoch: with `batches_per_update`, they determine the plan.
        batches_per_update: number of batches of an update.
        chosen: the sentences of the epoch, which can repeat; None for each sentence once.
        starts: first sentence of each part of the data; a batch has sentences of one part. None for
            one part.

    Returns:
        Arrays of sentence indices, in the order of training.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(source_lengths) if chosen is None else chosen)
    runs = []
    for part in _by_part(order, starts):
        if config.batching == "bucketed":
            part = _sorted(_sorted(part, source_lengths), target_lengths)
        runs.append(cut(part, np.maximum(source_lengths, target_lengths), config))
    if batches_per_update == 1 or config.batching == "random":
        batches = [batch for run in runs for batch in run]
        return [batches[i] for i in generator.permutation(len(batches))]
    groups, short = [], []
    for batches in runs:
        count = len(batches) // batches_per_update
        # draw the incomplete group, so that it is not always the one with the longest sentences
        before = int(generator.integers(count + 1)) * batches_per_update
        left = batches[before : before + len(batches) % batches_per_update]
        full = batches[:before] + batches[before + len(left) :]
        groups += [
            full[start : start + batches_per_update]
            for start in range(0, len(full), batches_per_update)
        ]
        short += left
    return [batch for i in generator.permutation(len(groups)) for batch in groups[i]] + short


def _by_part(order: Indices, starts: Indices | None) -> list[Indices]:
    """Split a sequence of sentences by the part of the data that they belong to."""
    if starts is None or len(starts) == 1:
        return [order]
    parts = np.searchsorted(starts, order, side="right") - 1
    return [order[parts == part] for part in range(len(starts))]


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
    size, max_tokens = config.limits()
    if max_tokens is None:
        return [order[start : start + size] for start in range(0, len(order), size)]
    batches = []
    start = 0
    while start < len(order):
        first = int(lengths[order[start]]) + 1  # EOS
        most = max(1, min(size, max_tokens // first))
        widths = np.maximum.accumulate(lengths[order[start : start + most]]) + 1
        padded = widths * np.arange(1, len(widths) + 1)  # tokens of the first 1, 2, ... sentences
        end = start + max(1, int(np.searchsorted(padded, max_tokens, side="right")))
        batches.append(order[start:end])
        start = end
    return batches
