"""The processes that torchrun starts for one job: which one this is, and the group that they form.

A process that was started plainly is the one rank of a job of size 1, and nothing of
torch.distributed is imported for it. torch is imported inside the functions: this module is
imported for `--help` too.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from s2st.errors import S2STError, UsageError
from s2st.options.config import option
from s2st.process.rendezvous import MissingRankError, Waiting, gather, open_store

if TYPE_CHECKING:
    import torch

# of the errors that gloo, nccl and torch's store raise when another process is gone or silent
_LOST = ("gloo", "nccl", "timed out", "timeout", "connection", "broken pipe", "socket", "peer")


@dataclass(frozen=True)
class RanksConfig:
    """Several processes, started by torchrun."""

    rank_timeout: float = option(
        1800.0,
        "seconds that a process started by torchrun waits for the others before it gives up",
        minimum=1,
        maximum=1_000_000,
    )


class LostRankError(S2STError):
    """Another process of the job ended, or did not answer in time."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the job, and its number among those of its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the one that writes and reports."""
        return self.rank == 0


def ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """What torchrun says in RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; one rank if nothing.

    Raises:
        UsageError: the variables make no sense.
    """
    if "WORLD_SIZE" not in environment:
        return Ranks()
    named = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    texts = {name: environment.get(name, default) for name, default in named.items()}
    numbers = [int(text) if text.isdecimal() and len(text) < 9 else -1 for text in texts.values()]
    rank, size, local_rank, local_size = numbers
    if min(numbers) < 0 or rank >= size or local_rank >= size:
        told = ", ".join(f"{name}={text!r}" for name, text in texts.items())
        raise UsageError(f"the environment says {told[:200]}: start with torchrun, or unset them")
    return Ranks(rank, size, local_rank, local_size)


@contextlib.contextmanager
def process_group(own: Ranks, device: "torch.device", seconds: float) -> Iterator[None]:
    """All ranks of the job joined by gloo (CPU) or nccl (GPU) until the end of the context.

    Where it ends well, they wait for each other once more: torchrun does not see that a process
    hangs, so nobody may end while another has something left to do.

    Args:
        own: this rank; nothing happens where it is the only one.
        device: where the tensors are that will be exchanged.
        seconds: how long to wait for another rank, at the start and in every exchange.

    Raises:
        LostRankError: another rank ended or did not answer in time.
        Stopped: a signal came before all had joined.
    """
    if own.size == 1:
        yield
        return
    import torch.distributed as dist

    try:
        waiting = Waiting(seconds)
        store = open_store(own.rank, waiting)
        name = gather(store, own.rank, own.size, waiting)
        prefixed = dist.PrefixStore(name, store)  # type: ignore[attr-defined]
        with stdout_to_stderr():
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=seconds),
                store=prefixed, rank=own.rank, world_size=own.size,
            )  # fmt: skip
        yield
        wait_for_all(device)
    except (RuntimeError, ValueError) as error:  # of torch: S2STError is neither
        if not _is_loss(error):
            raise
        reason = " ".join(str(error).split("\n", 1)[0].split())[:200]
        raise LostRankError(
            f"another of the {own.size} processes ended, or did not answer within --rank-timeout "
            f"{seconds:g} seconds; its own last line says why ({reason})"
        ) from error
    finally:
        if dist.is_initialized():
            with contextlib.suppress(RuntimeError):  # the group may be broken already
                dist.destroy_process_group()


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Sends what libraries print on standard output to standard error.

    The gloo of torch 2.8 to 2.10 prints a line whenever it has connected a group.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
        sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed
        yield
        return
    try:
        with contextlib.suppress(OSError):
            os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def wait_for_all(device: "torch.device") -> None:
    """Waits until every rank of the group is here; handlers of signals are called meanwhile."""
    import torch
    import torch.distributed as dist

    # a sum of nothing, since nccl has no barrier without a device
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
