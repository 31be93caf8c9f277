"""Dry run of `s2st train`: real updates on the heaviest and on typical batches, nothing saved."""

import logging
import signal
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np

from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig, Indices
from s2st.data.corpora import corpus_set
from s2st.errors import InterruptedBySignalError, OutOfMemoryError
from s2st.process.memory_use import MemoryUse
from s2st.process.ranks import Ranks, largest_over_ranks
from s2st.training.batch_memory import (
    FIRST_TOKENS,
    USABLE,
    TokenGoal,
    TokenLimit,
    find_token_limit,
    heaviest,
    largest_batch,
    tokens_for_updates,
)
from s2st.training.gradient_accumulation import BatchMemoryError
from s2st.training.trainer import Trainer

log = logging.getLogger("s2st")
GIB = 1 << 30
TYPICAL_UPDATES = 6
MAX_SECONDS = 60.0  # of the search for the largest batch, except its last trial
KEPT_FREE = round(100 * (1 - USABLE))  # percent


class Rehearsal:
    """A training that does some updates and is thrown away. All ranks measure the same numbers.

    Args:
        trainer: a new trainer; its weights will change.
        ranks: this process among the ranks of the job.
        shares_batches: whether each rank computes batches of its own.
    """

    def __init__(self, trainer: Trainer, ranks: Ranks, shares_batches: bool) -> None:
        self.trainer = trainer
        self.device = trainer.gradients.device
        self._ranks = ranks
        self._copies = ranks.size if shares_batches else 1
        self._lengths = corpus_set(trainer.parts.training).lengths()
        self._longer = np.maximum(*self._lengths)
        self._memory = MemoryUse(self.device, ranks.local_size)
        self.available = -largest_over_ranks([-self._memory.available()], self.device)[0]

    def choose_max_tokens(self) -> int:
        """Return the number for `--max-tokens auto`, and log it.

        Raises:
            OutOfMemoryError: not even the longest sentence pair fits.
            InterruptedBySignalError: a signal asked to stop.
        """
        wanted = self._for_updates()
        found = self.find_limit(self.trainer.batching.batch_size, wanted.tokens)
        if not found.tokens:
            raise OutOfMemoryError(
                f"--max-tokens auto: the longest pair of the training split ({found.tried} tokens) "
                f"does not fit into {self.available / GIB:.2f} GiB; lower --hidden-size or "
                "--layers, or preprocess with a smaller --max-length"
            )
        log.info("--max-tokens auto: %d (%s)", found.tokens, _reason(found.tokens, wanted))
        return found.tokens

    def find_limit(self, batch_size: int | None, ceiling: int | None = None) -> TokenLimit:
        """Find the largest `--max-tokens` that fits.

        Args:
            batch_size: the user's limit of sentences per batch.
            ceiling: do not look for a larger number.
        """
        longest, pairs = int(self._longer.max(initial=0)), len(self._longer)
        batching = replace(self.trainer.batching, batch_size=batch_size)
        largest = largest_batch(batching, longest, pairs)
        return find_token_limit(
            partial(self._peak_with, batching), self._base(), self.available,
            max(FIRST_TOKENS, longest + 1), min(largest, ceiling or largest), MAX_SECONDS,
            self._clock,
        )  # fmt: skip

    def report(self, batch_size: int | None) -> list[str]:
        """Return the lines of the report, equal on every rank.

        Args:
            batch_size: the `--batch-size` that the user named; the default does not limit
                `--max-tokens`.
        """
        freq = self.trainer.config.update_freq or 1
        plan = self._plan(self.trainer.batching, freq)
        self._memory.reset_peak()
        longest = heaviest(plan, *self._lengths)
        for batch in longest:
            self._update([batch] * self._copies)
        peak = largest_over_ranks([self._memory.peak()], self.device)[0]
        padded = len(longest[0]) * (int(self._longer[longest[0]].max()) + 1)
        wanted, lines = self._for_updates(), self._speed_lines(plan, freq)
        limit = self.find_limit(batch_size)
        every = " (the whole training split in one batch)" if limit.whole else ""
        if limit.whole and batch_size is not None:
            every = f" (no batch is larger with --batch-size {batch_size})"
        chosen = min(limit.tokens, wanted.tokens)
        return [
            f"longest batch: {len(longest[0]):,} pairs, {padded:,} padded tokens of a side",
            f"memory: {peak / GIB:.2f} GiB of {self.available / GIB:.2f} GiB available",
            *lines,
            f"largest --max-tokens that fits: {limit.tokens}{every}; tried up to {limit.tried}, "
            f"{KEPT_FREE} % of the memory stays free",
            f"--max-tokens auto: {chosen} ({_reason(chosen, wanted)})",
        ]

    def _speed_lines(self, plan: list[Indices], freq: int) -> list[str]:
        """Return lines about words per second and hours, from updates of all sizes."""
        updates = [plan[start : start + freq] for start in range(0, len(plan), freq)]
        updates.sort(key=lambda batches: sum(int(self._longer[b].sum()) for b in batches))
        count = min(TYPICAL_UPDATES, len(updates))
        # the middles of equal parts, so that the mean time is that of an update of the epoch
        chosen = [updates[(2 * i + 1) * len(updates) // (2 * count)] for i in range(count)]
        microseconds = [int(1e6 * self._update(batches)) for batches in chosen]
        seconds = sum(largest_over_ranks(microseconds, self.device)) / 1e6
        words = [
            sum(int(length[b].sum()) + len(b) for batches in chosen for b in batches)
            for length in self._lengths
        ]
        speed = f"{words[1] / seconds:,.0f} target words/s"
        if getattr(self.trainer.parts.record.config, "reads_source", True):
            speed = f"{words[0] / seconds:,.0f} source + {speed}"
        epoch = seconds / count * len(updates)
        return [
            f"speed: {speed} ({count} updates from short to long sentences)",
            f"time: {_hours(epoch)} per epoch of {len(updates):,} updates; "
            f"{self._whole_time(epoch, len(updates))}",
        ]

    def _whole_time(self, epoch: float, updates: int) -> str:
        """Describe the time until the training ends by its limits."""
        config = self.trainer.config
        ends = []
        if config.max_epoch is not None:
            ends.append((config.max_epoch * epoch, f"--max-epoch {config.max_epoch:g}"))
        if config.max_update is not None:
            ends.append((config.max_update / updates * epoch, f"--max-update {config.max_update}"))
        if config.max_time is not None:
            ends.append((3600 * config.max_time, f"--max-time {config.max_time:g}"))
        if not ends:
            return "no --max-epoch, --max-update or --max-time ends the training"
        seconds, end = min(ends)
        early = "; --patience may end it earlier" if config.patience is not None else ""
        return f"{_hours(seconds)} for {end}, without validation and saving{early}"

    def _for_updates(self) -> TokenGoal:
        return tokens_for_updates(self._longer, self.trainer.config.update_freq or 1)

    def _plan(self, batching: BatchingConfig, batches_per_update: int) -> list[Indices]:
        trainer = self.trainer
        loader = TrainingLoader(
            trainer.parts.training, batching, trainer.config.seed, batches_per_update
        )
        return loader.plan(0)

    def _base(self) -> int:
        """Train on the shortest pair; return the peak in bytes."""
        self._memory.reset_peak()
        self._update([np.argsort(self._longer)[:1]] * self._copies)
        return largest_over_ranks([self._memory.peak()], self.device)[0]

    def _peak_with(self, batching: BatchingConfig, max_tokens: int) -> int:
        """Train on the heaviest batches for a limit of tokens; return the peak in bytes."""
        batching = replace(batching, max_tokens=max_tokens)
        self._memory.reset_peak()
        try:
            for batch in heaviest(self._plan(batching, 1), *self._lengths):
                self._update([batch] * self._copies)
        except BatchMemoryError:
            if self._ranks.size > 1:  # the other ranks wait for this one
                raise
            return sys.maxsize
        return largest_over_ranks([self._memory.peak()], self.device)[0]

    def _update(self, batches: list[Indices]) -> float:
        """Do one update and return its seconds; end if a signal asks to stop."""
        (number,) = largest_over_ranks([self.trainer.stop_signal()], self.device)
        if number:
            name = signal.Signals(number).name
            raise InterruptedBySignalError(
                number, f"stopped by {name} before the training began; nothing was saved"
            )
        return self.trainer.rehearse(batches)

    def _clock(self) -> float:
        """Return seconds; all ranks read the same."""
        return largest_over_ranks([int(1e6 * time.perf_counter())], self.device)[0] / 1e6


def _reason(tokens: int, wanted: TokenGoal) -> str:
    return "what fits the memory" if tokens < wanted.tokens else wanted.rule


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 0.001:
        return "less than 0.001 hours"
    return f"{hours:,.1f} hours" if hours >= 10 else f"{hours:.3f} hours"
