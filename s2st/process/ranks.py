"""Ranks of a job that torchrun starts: environment variables, process group, barrier, lost ranks.

A process started without torchrun is rank 0 of a job of size 1; it never imports
torch.distributed. Functions import torch themselves, because `--help` imports this module.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from s2st.errors import S2STError, UsageError
from s2st.options.option_fields import option
from s2st.process.rendezvous import MissingRankError, Waiting, gather, open_store

if TYPE_CHECKING:
    import torch

# parts of the errors that gloo, nccl and torch's store raise when a process has ended or is silent
_LOST = ("gloo", "nccl", "timed out", "timeout", "connection", "broken pipe", "socket", "peer")


@dataclass(frozen=True)
class RanksConfig:
    """Options of a job with several ranks, started by torchrun."""

    rank_timeout: float = option(
        1800.0,
        "seconds that an idle rank (torchrun) waits for the others before it gives up",
        minimum=1,
        maximum=1_000_000,
    )


class LostRankError(S2STError):
    """Another rank of the job ended, or did not answer in time."""


@dataclass(frozen=True)
class Ranks:
    """Rank of this process and number of ranks, in the job and on this machine.

    Attributes:
        rank, size: number of this process in the job, from 0, and number of processes.
        local_rank, local_size: the same among the processes of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes and reports."""
        return self.rank == 0


def read_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Read RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE, which torchrun sets.

    Without WORLD_SIZE the job has one rank.

    Raises:
        UsageError: the variables contradict each other or are not numbers.
    """
    if "WORLD_SIZE" not in environment:
        return Ranks()
    defaults = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    texts = {name: environment.get(name, default) for name, default in defaults.items()}
    numbers = [int(text) if text.isdecimal() and len(text) < 9 else -1 for text in texts.values()]
    rank, size, local_rank, local_size = numbers
    if min(numbers) < 0 or rank >= size or local_rank >= size:
        variables = ", ".join(f"{name}={text!r}" for name, text in texts.items())
        raise UsageError(
            f"the environment has {variables[:200]}: start the job with torchrun, or unset them"
        )
    return Ranks(rank, size, local_rank, local_size)


@contextlib.contextmanager
def process_group(rank: Ranks, device: "torch.device", seconds: float) -> Iterator[None]:
    """Join all ranks of the job by gloo (CPU) or nccl (GPU) until the end of the context.

    At the end without an error, the ranks wait for each other: torchrun does not notice a process
    that hangs, so no rank may end while another still has work.

    Args:
        rank: this rank; a job with one rank needs no group.
        device: device of the tensors that the ranks exchange.
        seconds: how long to wait for another rank, at the start and in each exchange.

    Raises:
        LostRankError: another rank ended or did not answer in time.
        Stopped: a signal arrived before all ranks had joined.
    """
    if rank.size == 1:
        yield
        return
    import torch.distributed as dist

    try:
        waiting = Waiting(seconds)
        store = open_store(rank.rank, waiting)
        name = gather(store, rank.rank, rank.size, waiting)
        prefixed = dist.PrefixStore(name, store)  # type: ignore[attr-defined]
        with stdout_to_stderr():
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=seconds),
                store=prefixed, rank=rank.rank, world_size=rank.size,
            )  # fmt: skip
        yield
        wait_for_all(device)
    except (RuntimeError, ValueError) as error:  # raised by torch; an S2STError is neither
        if not _is_loss(error):
            raise
        reason = " ".join(str(error).split("\n", 1)[0].split())[:200]
        raise LostRankError(
            f"another of the {rank.size} processes ended, or did not answer within --rank-timeout "
            f"{seconds:g} seconds; see the last line that it printed ({reason})"
        ) from error
    finally:
        if dist.is_initialized():
            with contextlib.suppress(RuntimeError):  # the group may already be broken
                dist.destroy_process_group()


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Redirect what libraries print on standard output to standard error.

    The gloo of torch 2.8 to 2.10 prints a line when it connects a group.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed or missing
        sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:  # closed
        yield
        return
    try:
        with contextlib.suppress(OSError):
            os.dup2(2, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def largest_over_ranks(values: Sequence[int], device: "torch.device") -> list[int]:
    """Return, for each value, the largest of all ranks; every rank of the group must call this.

    Args:
        values: whole numbers from -2**62 to 2**62, as many on every rank.
        device: device of the tensors that the ranks exchange.
    """
    if read_ranks().size == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    found = torch.tensor(values, dtype=torch.int64, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return [int(value) for value in found.tolist()]


def wait_for_all(device: "torch.device") -> None:
    """Wait until every rank of the group has arrived; signal handlers run meanwhile."""
    import torch
    import torch.distributed as dist

    # a sum of zeros, because nccl's barrier needs a device
    work = dist.all_reduce(torch.zeros(1, device=device), async_op=True)
    while not work.is_completed():
        time.sleep(0.002)
    work.wait()
    if device.type == "cuda":
        torch.cuda.synchronize()


def _is_loss(error: BaseException) -> bool:
    import torch.distributed as dist

    text = str(error).lower()
    lost = isinstance(error, (dist.DistError, MissingRankError))
    return lost or any(part in text for part in _LOST)
