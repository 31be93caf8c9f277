"""How the processes of a job find each other, also after a restart: by a store of torch's.

torchrun keeps one store for all its attempts (torch 2.13). In it gloo found the addresses of an
earlier attempt's processes, took them for those of the living, and was refused, or waited for ever.
So every process says a word that nobody ever said, and the group has a name made of the words of
those who answer now. Attempts are not counted for it: on several machines torchrun's counts differ.

Nothing here blocks for long, so that a signal breaks the waiting off at once.
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

_LONGEST_SLEEP = 0.05  # seconds between two looks


class MissingRankError(RuntimeError):
    """A process of the job did not come in time."""


class Waiting:
    """Waits by looking again: `pause` between two looks, until there is no time left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._sleep = 0.001

    @property
    def left(self) -> float:
        """Seconds, at least a little."""
        return max(0.1, self._end - time.monotonic())

    def pause(self, missing: str) -> None:
        """Sleeps a moment.

        Args:
            missing: what is waited for.

        Raises:
            MissingRankError: it took too long.
            Stopped: a signal came, now or before.
        """
        check()
        if time.monotonic() > self._end:
            raise MissingRankError(f"{missing} did not come")
        time.sleep(self._sleep)
        self._sleep = min(_LONGEST_SLEEP, 1.5 * self._sleep)


def open_store(rank: int, waiting: Waiting, environment: Mapping[str, str] = os.environ) -> "Store":
    """The store at MASTER_ADDR and MASTER_PORT, which is torchrun's, or else rank 0's own.

    Raises:
        UsageError: the environment does not say where.
        MissingRankError, Stopped: see `Waiting`.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, port = environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", "")
    if not (host and port.isdecimal() and len(port) < 6 and int(port) < 1 << 16):
        told = f"MASTER_ADDR={host!r}, MASTER_PORT={port!r}"
        raise UsageError(f"the environment says {told[:200]}: start with torchrun")
    serving = rank == 0 and environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    while not serving:  # torch's own waiting would not heed a signal
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            break
        waiting.pause("rank 0")
    return TCPStore(
        host, int(port), None, serving, timedelta(seconds=waiting.left),
        wait_for_workers=False, multi_tenant=serving,
    )  # fmt: skip


def gather(store: "Store", rank: int, size: int, waiting: Waiting) -> str:
    """Waits until all ranks are here; a name of the group, the same on all, that no other has.

    Rank 0 collects the words of all and shows the roll of them. Those who find their own word in it
    answer it; a word of somebody who is gone gets no answer. When all have answered one roll it is
    closed.

    Raises:
        MissingRankError, Stopped: see `Waiting`.
    """
    word = uuid4().hex
    store.set(_key("word", rank), word)
    return (_lead if rank == 0 else _follow)(store, word, rank, size, waiting)


def _lead(store: "Store", word: str, rank: int, size: int, waiting: Waiting) -> str:
    others = range(1, size)
    shown = ""
    while True:
        words = _read(store, "word", others)
        roll = " ".join([word, *words.values()])
        name = sha256(roll.encode()).hexdigest()
        answers = _read(store, "answer", others)
        missing = [other for other in others if other not in words or answers.get(other) != name]
        if not missing:
            store.set("closed", name)
            return name
        if len(words) == len(others) and roll != shown:
            store.set("roll", roll)
            shown = roll
        waiting.pause(f"rank {', '.join(map(str, missing[:9]))}")


def _follow(store: "Store", word: str, rank: int, size: int, waiting: Waiting) -> str:
    name = ""
    while True:
        roll = _look(store, "roll")
        if word in roll.split():
            seen = sha256(roll.encode()).hexdigest()
            if seen != name:
                store.set(_key("answer", rank), seen)
                name = seen
            if _look(store, "closed") == name:
                return name
        waiting.pause("another rank" if name else "rank 0, or another rank,")


def _key(what: str, rank: int) -> str:
    return f"{what} of {rank}"


def _look(store: "Store", key: str) -> str:
    """What the store has now, "" for nothing."""
    return store.get(key).decode() if store.check([key]) else ""


def _read(store: "Store", what: str, all_ranks: Sequence[int]) -> dict[int, str]:
    """What ranks have said, by rank."""
    found = {rank: _look(store, _key(what, rank)) for rank in all_ranks}
    return {rank: text for rank, text in found.items() if text}
