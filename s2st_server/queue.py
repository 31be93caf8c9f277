"""The queue of the server: accepted requests, computed in threads, those of one kind together.

A search of a batch takes little longer than that of one sentence. So when a request gets its turn,
the requests of the same kind that wait behind it are computed with it.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from s2st_server.requests import RefusedError

A = TypeVar("A")
LEFT = 499  # status that nobody reads, by the custom of nginx
BATCH_LINES = 64  # of requests that are computed together


@dataclass(frozen=True)
class Work(Generic[A]):
    """What a request asks to compute.

    Attributes:
        asked: the request.
        lines: number of lines that it has.
        kind: work of equal kinds can be computed together; None only by itself.
        compute: the answers to some requests of this kind, in order; called in a thread.
        left: whether the client is no longer there.
    """

    asked: A
    lines: int
    kind: Hashable
    compute: Callable[[Sequence[A]], Sequence[bytes]]
    left: Callable[[], Awaitable[bool]]


@dataclass(eq=False)
class _Waiting(Generic[A]):
    """A request in the queue.

    Attributes:
        called: set when the answer is there, or when it is the request's turn.
        has_turn: whether it may compute; it must then pass the turn on.
        answer: the answer, or why there is none; None as long as it is not computed.
    """

    work: Work[A]
    called: anyio.Event = field(default_factory=anyio.Event)
    has_turn: bool = False
    answer: bytes | Exception | None = None


class Queue(Generic[A]):
    """Computes work in threads, a limited number at a time, and refuses more than it can hold.

    Work of a client that left while it waited is not done: a page asks anew at every key.

    Args:
        concurrency: batches that are computed at the same time.
        size: requests that may wait.

    Attributes:
        accepted: requests that are computed or wait.
    """

    def __init__(self, concurrency: int, size: int) -> None:
        self._most = concurrency + size
        self._turns = concurrency  # that nobody has
        self._threads = anyio.CapacityLimiter(concurrency)
        self._waiting: list[_Waiting[A]] = []  # in the order of their arrival
        self.accepted = 0

    async def run(self, work: Work[A]) -> bytes:
        """Return the answer.

        Raises:
            RefusedError: the queue is full, or the client has left.
            Exception: what `work.compute` raised for this request.
        """
        if self.accepted >= self._most:
            raise RefusedError(503, "too many requests wait; try again", {"Retry-After": "1"})
        self.accepted += 1
        one = _Waiting(work)
        self._waiting.append(one)
        try:
            if self._turns:
                self._turns -= 1
                one.has_turn = True
            else:
                await one.called.wait()
            if one.has_turn:
                await self._compute(self._batch(one))
        finally:
            self.accepted -= 1
            if one in self._waiting:
                self._waiting.remove(one)
            if one.has_turn:
                self._pass_on()
        assert one.answer is not None
        if isinstance(one.answer, Exception):
            raise one.answer
        return one.answer

    def _batch(self, first: _Waiting[A]) -> list[_Waiting[A]]:
        """Take a request from the queue, and those that can be computed with it."""
        batch, lines, kind = [first], first.work.lines, first.work.kind
        for other in self._waiting if kind is not None else ():
            fits = lines + other.work.lines <= BATCH_LINES
            if other is not first and other.work.kind == kind and fits and not other.has_turn:
                batch.append(other)
                lines += other.work.lines
        for one in batch:
            self._waiting.remove(one)
        return batch

    async def _compute(self, batch: Sequence[_Waiting[A]]) -> None:
        """Set the answers of all."""
        with anyio.CancelScope(shield=True):  # the others of the batch wait for this task
            present = [one for one in batch if not await one.work.left()]
            answers: Sequence[bytes | Exception] = []
            if present:
                asked, compute = [one.work.asked for one in present], batch[0].work.compute
                answers = await anyio.to_thread.run_sync(
                    _attempt, compute, asked, limiter=self._threads
                )
            for one in batch:
                one.answer = RefusedError(LEFT, "the client has left")
            for one, answer in zip(present, answers, strict=True):
                one.answer = answer
            for one in batch:
                one.called.set()

    def _pass_on(self) -> None:
        """Give the turn to the first that waits for one."""
        for one in self._waiting:
            if not one.has_turn:
                one.has_turn = True
                one.called.set()
                return
        self._turns += 1


def _attempt(
    compute: Callable[[Sequence[A]], Sequence[bytes]], asked: Sequence[A]
) -> Sequence[bytes | Exception]:
    """The answers; where computing them together fails, each by itself."""
    try:
        return compute(asked)
    except Exception as error:
        if len(asked) == 1:
            return [error]
        return [_attempt(compute, [one])[0] for one in asked]
