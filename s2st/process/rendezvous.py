"""Rendezvous: the ranks of a job find each other through torch's store, also after a restart.

torchrun keeps one store for all its attempts (torch 2.13). gloo would read the addresses of an
earlier attempt's processes from it, and then fail or wait for ever. So each rank publishes a fresh
nonce, and the group's name is a hash of the nonces of the ranks that answer now. torchrun's count
of attempts cannot be part of the name, because it differs between machines.

No call blocks for long, so that a signal ends the wait at once.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from s2st.errors import UsageError
from s2st.process.stop_signals import check

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]  # lacks an __all__

_LONGEST_SLEEP = 0.05  # seconds between two reads of the store


class MissingRankError(RuntimeError):
    """A rank of the job did not join in time."""


class Waiting:
    """Polling with a time limit: call `pause` between two reads of the store."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._sleep = 0.001

    @property
    def left(self) -> float:
        """Remaining seconds, at least 0.1."""
        return max(0.1, self._end - time.monotonic())

    def pause(self, missing: str) -> None:
        """Sleep for a moment.

        Args:
            missing: the ranks that the job waits for.

        Raises:
            MissingRankError: the time is over.
            Stopped: a signal has arrived.
        """
        check()
        if time.monotonic() > self._end:
            raise MissingRankError(f"{missing} did not join")
        time.sleep(self._sleep)
        self._sleep = min(_LONGEST_SLEEP, 1.5 * self._sleep)


def open_store(rank: int, waiting: Waiting, environment: Mapping[str, str] = os.environ) -> "Store":
    """Connect to the store at MASTER_ADDR and MASTER_PORT; rank 0 starts it if torchrun did not.

    Raises:
        UsageError: the environment gives no valid address.
        MissingRankError, Stopped: see `Waiting`.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, port = environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", "")
    if not (host and port.isdecimal() and len(port) < 6 and int(port) < 1 << 16):
        variables = f"MASTER_ADDR={host!r}, MASTER_PORT={port!r}"
        raise UsageError(f"the environment has {variables[:200]}: start the job with torchrun")
    serving = rank == 0 and environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    while not (serving or _is_served(host, int(port))):  # no signal interrupts torch's own wait
        waiting.pause("rank 0")
    return TCPStore(
        host, int(port), None, serving, timedelta(seconds=waiting.left),
        wait_for_workers=False, multi_tenant=serving,
    )  # fmt: skip


def _is_served(host: str, port: int) -> bool:
    """Return whether another socket listens there.

    Where nobody does, the kernel may connect a socket of this machine with itself, if it happens to
    choose the same port for its own end; that would keep the port from rank 0.
    """
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1) as probe:
        return bool(probe.getsockname() != probe.getpeername())
    return False


def gather(store: "Store", rank: int, size: int, waiting: Waiting) -> str:
    """Wait for all ranks; return a unique group name, the same on all of them.

    Rank 0 collects the nonces of all ranks and publishes them as a list. A rank that finds its
    nonce in the list confirms the list; for the nonce of an ended process no confirmation comes.
    Rank 0 closes the list when all ranks have confirmed it.

    Raises:
        MissingRankError, Stopped: see `Waiting`.
    """
    nonce = uuid4().hex
    store.set(_key("nonce", rank), nonce)
    return (_lead if rank == 0 else _follow)(store, nonce, rank, size, waiting)


def _lead(store: "Store", nonce: str, rank: int, size: int, waiting: Waiting) -> str:
    others = range(1, size)
    published = ""
    while True:
        nonces = _read_ranks(store, "nonce", others)
        members = " ".join([nonce, *nonces.values()])
        name = sha256(members.encode()).hexdigest()
        confirmed = _read_ranks(store, "confirmed", others)
        missing = [other for other in others if other not in nonces or confirmed.get(other) != name]
        if not missing:
            store.set("closed", name)
            return name
        if len(nonces) == len(others) and members != published:
            store.set("members", members)
            published = members
        waiting.pause(f"rank {', '.join(map(str, missing[:9]))}")


def _follow(store: "Store", nonce: str, rank: int, size: int, waiting: Waiting) -> str:
    name = ""
    while True:
        members = _read(store, "members")
        if nonce in members.split():
            current = sha256(members.encode()).hexdigest()
            if current != name:
                store.set(_key("confirmed", rank), current)
                name = current
            if _read(store, "closed") == name:
                return name
        waiting.pause("another rank" if name else "rank 0, or another rank,")


def _key(entry: str, rank: int) -> str:
    return f"{entry} of {rank}"


def _read(store: "Store", key: str) -> str:
    """Return the value in the store, "" if there is none yet."""
    return store.get(key).decode() if store.check([key]) else ""


def _read_ranks(store: "Store", entry: str, ranks: Sequence[int]) -> dict[int, str]:
    """Return the values of an entry that ranks have set, by rank."""
    values = {rank: _read(store, _key(entry, rank)) for rank in ranks}
    return {rank: value for rank, value in values.items() if value}
