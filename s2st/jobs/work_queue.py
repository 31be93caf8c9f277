"""The work queue of a job: numbered tasks, and their answers in the order of the input lines.

`WorkQueue` keeps nothing; jobs that read or write a stream use it. `FolderQueue`
(`folder_queue.py`) keeps each finished task in a file, for `--resume` and for several ranks.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from s2st.errors import InputMissingError
from s2st.process.ranks import Ranks


class Answer(Protocol):
    """The result of one input line."""

    @property
    def line(self) -> int:
        """Index of the line from 0."""


A = TypeVar("A", bound=Answer)


@dataclass(frozen=True)
class TaskName:
    """Name of a task within its job.

    Attributes:
        number: unique within the job.
        lines: number of input lines that the task answers.
    """

    number: int
    lines: int

    @property
    def file(self) -> str:
        """File name of the result; progress reads the number of lines from it."""
        return f"{self.number}+{self.lines}"


@dataclass(frozen=True)
class Task(Generic[A]):
    """Lines that are computed together, usually one batch.

    The last bits of a sentence's scores depend on its batch. A task is therefore a whole batch, and
    every process computes the same answers for it.

    Attributes:
        lines: indices of its lines from 0; no two tasks share a line.
        compute: returns the answers, in any order.
    """

    lines: Sequence[int]
    compute: Callable[[], Iterable[A]]

    @property
    def name(self) -> TaskName:
        """Name of the task: its first line and its number of lines."""
        return TaskName(min(self.lines), len(self.lines))


class WorkQueue:
    """A work queue that keeps no results, for a single process that writes a stream.

    Attributes:
        ranks: this process among the ranks of the job.
        resumed: number of lines whose results come from an earlier run.
    """

    def __init__(self, ranks: Ranks = Ranks()) -> None:  # noqa: B008 - a frozen record
        self.ranks = ranks
        self.resumed = 0

    def claim(self, number: int) -> bool:
        """Reserve tasks until this process ends; return False if another process has them.

        Args:
            number: number of a task, or of several tasks that are claimed together.
        """
        return True

    def finished(self, task: TaskName) -> bool:
        """Whether the queue has the result of a task."""
        return False

    def read(self, task: TaskName) -> Any:
        """Return the result of a task, None if the task is not finished."""
        return None

    def publish(self, task: TaskName, result: Any) -> None:
        """Keep the result of a task; `result` consists of JSON values."""

    def meet(self) -> None:
        """Wait until every rank has called this method; all tasks are then finished."""


def in_order(
    chunks: Iterable[Iterable[Task[A]]], encode: Callable[[A], Any], queue: WorkQueue
) -> Iterator[Any]:
    """Compute this rank's share of a job; on rank 0 yield all answers in the order of the lines.

    Rank 0 yields the answers of a chunk as soon as this chunk and all earlier ones are finished.

    Args:
        chunks: all tasks of the job, grouped by chunk of lines.
        encode: turns an answer into a JSON value, which is yielded.
        queue: the work queue of the job.

    Raises:
        LostRankError: a rank ended, or exceeded the timeout.
    """
    if queue.ranks.size > 1:
        yield from _shared(chunks, encode, queue)
        return
    for tasks in chunks:
        answers: list[Any] = []
        for task in tasks:
            result = queue.read(task.name)
            if result is None:
                result = _compute(task, encode)
                queue.publish(task.name, result)
            answers += result
        yield from _by_line(answers)


def _shared(
    chunks: Iterable[Iterable[Task[A]]], encode: Callable[[A], Any], queue: WorkQueue
) -> Iterator[Any]:
    waiting: deque[list[TaskName]] = deque()  # chunks that rank 0 has not yielded yet
    for tasks in chunks:
        names = []
        for task in tasks:
            names.append(task.name)
            if queue.claim(task.name.number) and not queue.finished(task.name):
                queue.publish(task.name, _compute(task, encode))
        if queue.ranks.first:
            waiting.append(names)
            while waiting and all(map(queue.finished, waiting[0])):
                yield from _merged(waiting.popleft(), queue)
    queue.meet()
    for names in waiting:
        yield from _merged(names, queue)


def _compute(task: Task[A], encode: Callable[[A], Any]) -> list[list[Any]]:
    return [[answer.line, encode(answer)] for answer in task.compute()]


def _merged(names: Iterable[TaskName], queue: WorkQueue) -> Iterator[Any]:
    answers: list[Any] = []
    for name in names:
        result = queue.read(name)
        if result is None:
            raise InputMissingError(f"task {name.file} is missing; run with --resume again")
        answers += result
    yield from _by_line(answers)


def _by_line(answers: list[Any]) -> Iterator[Any]:
    return (value for _, value in sorted(answers, key=lambda answer: answer[0]))
