"""Options of `train` that s2st chooses where the user names none: `--update-freq`, `--batch-size`.

A new run chooses them once, and its checkpoints record the numbers. A resumed run that does not
name them keeps the recorded numbers, whatever the number of processes and the memory are now.
`--max-tokens auto` and `--precision auto` also keep what was recorded. Imports no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s2st.data.batch_planner import AUTO, DEFAULT_BATCH_SIZE, BatchingConfig
from s2st.errors import UsageError
from s2st.options.resolution import Resolved
from s2st.process.device import DeviceConfig
from s2st.process.ranks import Ranks, largest_over_ranks
from s2st.training.options import ParallelConfig, TrainerConfig

if TYPE_CHECKING:
    import torch

NAMES = ("update_freq", "batch_size", "max_tokens")
PRECISIONS = ("float32", "bfloat16")


def with_choices(
    options: Resolved, recorded: Mapping[str, Any] | None, ranks: Ranks, device: "torch.device",
    measure: Callable[[], str],
) -> Resolved:  # fmt: skip
    """Return the options with a number where the user named none, and the precision for `auto`.

    Args:
        options: resolved options of the command.
        recorded: on rank 0 the recorded options of the run to resume, or None for a new run; None
            on other ranks.
        ranks: this process among the ranks of the job.
        device: device of the tensors that the ranks exchange.
        measure: returns the precision for this machine; rank 0 calls it for a new run.

    Raises:
        UsageError: the processes cannot share the recorded number of batches evenly.
    """
    values = [recorded.get(name) if recorded is not None else None for name in NAMES]
    known = [value if isinstance(value, int) and value > 0 else 0 for value in values]
    automatic = options.config(DeviceConfig).precision == AUTO
    precision = None if recorded is None else recorded.get("precision")
    if automatic and ranks.first and precision not in PRECISIONS:
        precision = measure()
    number = PRECISIONS.index(precision) if precision in PRECISIONS else 0
    resumes, number, update_freq, batch_size, max_tokens = largest_over_ranks(
        [recorded is not None, number, *known], device
    )
    trainer, batching = options.config(TrainerConfig), options.config(BatchingConfig)
    split = options.config(ParallelConfig).split
    if trainer.update_freq is None:
        if update_freq and update_freq % ranks.size and not split:
            raise UsageError(
                f"{trainer.save_dir}: this run has {update_freq} batches per update, which "
                f"{ranks.size} processes cannot share evenly; resume it with a number of processes "
                f"that divides {update_freq}"
            )
        trainer = replace(trainer, update_freq=update_freq or (1 if split else ranks.size))
    if batching.max_tokens == AUTO and max_tokens:
        batching = replace(batching, max_tokens=max_tokens)
    if batching.batch_size is None:
        default = DEFAULT_BATCH_SIZE if batching.max_tokens is None else None
        batching = replace(batching, batch_size=(batch_size or None) if resumes else default)
    chosen = options.config(DeviceConfig)
    if automatic:
        chosen = replace(chosen, precision=PRECISIONS[number])
    return replaced(options, trainer, batching, chosen)


def replaced(options: Resolved, *configs: Any) -> Resolved:
    """Return the options with other records of some fixed types."""
    return replace(options, fixed={**options.fixed, **{type(c): c for c in configs}})


def chosen_values(options: Resolved) -> dict[str, Any]:
    """Return the options of this module by name, as checkpoints record them."""
    trainer, batching = options.config(TrainerConfig), options.config(BatchingConfig)
    return {
        "update_freq": trainer.update_freq,
        "batch_size": batching.batch_size,
        "max_tokens": batching.max_tokens,
        "precision": options.config(DeviceConfig).precision,
    }
