"""The queue of `s2st serve`: what is computed together, in which order, and what fails alone."""

import threading

import pytest

pytest.importorskip("starlette")
import anyio

from s2st_server import queue as module
from s2st_server.queue import Queue, Work
from s2st_server.requests import RefusedError


async def here():
    return False


async def gone():
    return True


class Computer:
    """Computes answers such as b"<3>", notes the batches, and waits where a test asks for it."""

    def __init__(self):
        self.batches, self.go, self.started = [], threading.Event(), threading.Event()

    def __call__(self, asked):
        self.batches.append(list(asked))
        self.started.set()
        assert self.go.wait(30)
        if "bad" in asked:
            raise ValueError("bad")
        return [f"<{one}>".encode() for one in asked]

    def work(self, asked, kind="a", lines=1, left=here):
        return Work(asked, lines, kind, self, left)


def answers_of(computer, works, concurrency=1, size=100):
    """The answers to works that arrive in order while the first ones compute."""
    found = {}

    async def one(queue, place, work):
        try:
            found[place] = await queue.run(work)
        except Exception as error:
            found[place] = error

    async def main():
        queue = Queue(concurrency, size)
        async with anyio.create_task_group() as group:
            for place, work in enumerate(works):
                group.start_soon(one, queue, place, work)
                await anyio.wait_all_tasks_blocked()
            while not computer.started.is_set():
                await anyio.sleep(0.001)
            computer.go.set()
        assert queue.accepted == 0
        assert queue._waiting == []
        assert queue._turns == concurrency

    anyio.run(main)
    return [found[place] for place in range(len(works))]


def test_those_that_wait_are_computed_together_by_kind_in_their_order():
    computer = Computer()
    kinds = "abaNbNa"
    works = [computer.work(i, None if k == "N" else k) for i, k in enumerate(kinds)]
    assert answers_of(computer, works) == [f"<{i}>".encode() for i in range(len(kinds))]
    # the first is alone; 1 is the next, and takes 4 along; 3 and 5 have no kind
    assert computer.batches == [[0], [1, 4], [2, 6], [3], [5]]


def test_a_batch_has_a_limited_number_of_lines(monkeypatch):
    monkeypatch.setattr(module, "BATCH_LINES", 5)
    computer = Computer()
    lines = [1, 2, 2, 9, 1, 3]
    works = [computer.work(i, lines=n) for i, n in enumerate(lines)]
    answers_of(computer, works)
    assert computer.batches == [[0], [1, 2, 4], [3], [5]]


def test_what_cannot_be_computed_fails_alone():
    computer = Computer()
    found = answers_of(computer, [computer.work(asked) for asked in ("x", 1, "bad", 3)])
    assert [found[0], found[1], found[3]] == [b"<x>", b"<1>", b"<3>"]
    assert isinstance(found[2], ValueError)
    assert computer.batches == [["x"], [1, "bad", 3], [1], ["bad"], [3]]


def test_work_of_a_client_that_left_is_not_done():
    computer = Computer()
    works = [computer.work(0), computer.work(1, left=gone), computer.work(2)]
    works += [computer.work(3, "b", left=gone), computer.work(4)]
    found = answers_of(computer, works)
    assert computer.batches == [[0], [2, 4]]
    assert [found[place] for place in (0, 2, 4)] == [b"<0>", b"<2>", b"<4>"]
    for place in (1, 3):
        assert isinstance(found[place], RefusedError)
        assert found[place].status == module.LEFT


def test_two_batches_at_the_same_time():
    computer = Computer()
    works = [computer.work(i) for i in range(5)]
    assert answers_of(computer, works, concurrency=2) == [f"<{i}>".encode() for i in range(5)]
    assert sorted(computer.batches[:2]) == [[0], [1]]
    assert sorted(number for batch in computer.batches[2:] for number in batch) == [2, 3, 4]
    assert len(computer.batches) < 5


def test_a_full_queue_refuses_and_the_others_are_answered():
    computer = Computer()
    found = answers_of(computer, [computer.work(i, None) for i in range(5)], size=2)
    assert found[:3] == [b"<0>", b"<1>", b"<2>"]
    assert [one.status for one in found[3:]] == [503, 503]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_canceled_request_keeps_no_other_waiting(place):
    """Whether it computes, has been called to compute, or waits."""
    computer, found = Computer(), {}

    async def main():
        queue, scopes = Queue(1, 10), [anyio.CancelScope() for _ in range(4)]

        async def one(number, kind):
            with scopes[number]:
                found[number] = await queue.run(computer.work(number, kind))

        async with anyio.create_task_group() as group:
            for number, kind in enumerate("abcb"):
                group.start_soon(one, number, kind)
                await anyio.wait_all_tasks_blocked()
            while not computer.started.is_set():
                await anyio.sleep(0.001)
            scopes[place].cancel()
            computer.go.set()
        assert (queue.accepted, queue._waiting, queue._turns) == (0, [], 1)

    anyio.run(main)
    for number in {0, 1, 2, 3} - {place}:
        assert found[number] == f"<{number}>".encode()
