"""Limits of a training: when it ends and why, and how much time is left."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from s2st.training.options import TrainerConfig

if TYPE_CHECKING:
    from s2st.training.checkpoint import TrainingState


TIME_IS_UP = 1000  # travels between ranks as the number of a signal, and is larger than all signals


def with_time_limit(
    stop_signal: Callable[[], int], hours: float | None, clock: Callable[[], float] = time.monotonic
) -> Callable[[], int]:
    """Return a stop signal that also returns TIME_IS_UP once the hours have passed from now.

    Args:
        stop_signal: returns the number of the signal that asks to stop, else 0.
        hours: the limit; None for no limit.
        clock: returns seconds.
    """
    if hours is None:
        return stop_signal
    end = clock() + hours * 3600

    def stop_or_time() -> int:
        return stop_signal() or (TIME_IS_UP if clock() >= end else 0)

    return stop_or_time


def reason_to_end(config: TrainerConfig, state: "TrainingState", epoch: float) -> str:
    """Return which limit the training has reached, "" if none.

    Args:
        config: the limits.
        state: the current state.
        epoch: epochs done, with fraction.
    """
    if config.max_epoch is not None and epoch >= config.max_epoch - 1e-9:
        return f"epoch limit (--max-epoch {config.max_epoch:g})"
    if config.max_update is not None and state.update >= config.max_update:
        return f"update limit (--max-update {config.max_update})"
    if config.patience is not None and state.bad_validations >= config.patience:
        bad = state.bad_validations
        return f"patience ({bad} validation{'s' * (bad > 1)} without improvement)"
    return ""


def time_left(
    config: TrainerConfig, update: int, epoch: float, seconds_per_update: float
) -> tuple[float | None, str]:
    """Return the seconds to the nearer of the last epoch and the last update, and its name."""
    ends = []
    if config.max_update is not None:
        ends.append((float(config.max_update - update), f"update {config.max_update}"))
    if config.max_epoch is not None and epoch > 0:
        updates = (config.max_epoch - epoch) * update / epoch
        ends.append((updates, f"epoch {config.max_epoch:g}"))
    if not ends:
        return None, ""
    updates, end = min(ends)
    return max(0.0, updates) * seconds_per_update, end
