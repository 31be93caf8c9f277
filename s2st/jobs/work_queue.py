"""The work queue of a scoring job: numbered tasks, and their answers in the order of the lines.

`WorkQueue` keeps nothing: a job that reads or writes a stream uses it. `FolderQueue`
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
    """A task within its job.

    Attributes:
        number: no other task of the job has it.
        lines: how many input lines the task answers.
    """

    number: int
    lines: int

    @property
    def file(self) -> str:
        """Name of the result in the folder; progress reads the count of lines from it."""
        return f"{self.number}+{self.lines}"


@dataclass(frozen=True)
class Task(Generic[A]):
    """Lines that are computed together, usually one batch.

    A sentence in another batch may differ in its last bits. A task is therefore a whole batch, and
    gives the same answers in whichever process it runs.

    Attributes:
        lines: indices of its lines from 0; no two tasks share a line.
        compute: returns the answers in any order.
    """

    lines: Sequence[int]
    compute: Callable[[], Iterable[A]]

    @property
    def name(self) -> TaskName:
        """Its first line stands for it."""
        return TaskName(min(self.lines), len(self.lines))


class WorkQueue:
    """The queue of a single process whose results go straight to a stream: it keeps nothing.

    Attributes:
        ranks: the processes that share the job.
        resumed: lines whose results an earlier run left.
    """

    def __init__(self, ranks: Ranks = Ranks()) -> None:  # noqa: B008 - a frozen record
        self.ranks = ranks
        self.resumed = 0

    def claim(self, number: int) -> bool:
        """Reserves tasks until this process ends; False where another process has them.

        Args:
            number: of a task, or of several tasks that are claimed together.
        """
        return True

    def finished(self, task: TaskName) -> bool:
        """Whether the queue has the result of a task."""
        return False

    def read(self, task: TaskName) -> Any:
        """The result of a finished task, None where the task is not finished."""
        return None

    def publish(self, task: TaskName, result: Any) -> None:
        """Keeps the result of a task; `result` is what JSON can hold."""

    def meet(self) -> None:
        """Waits until every rank is here: all tasks are finished then."""


def in_order(
    chunks: Iterable[Iterable[Task[A]]], encode: Callable[[A], Any], queue: WorkQueue
) -> Iterator[Any]:
    """Computes this rank's share of a job; rank 0 yields all answers, in the order of the lines.

    The answers of a chunk are yielded as soon as they and those before them are finished.

    Args:
        chunks: all tasks of the job, those of one chunk of lines together.
        encode: turns an answer into what JSON can hold; that value is yielded.
        queue: of the job.

    Raises:
        LostRankError: a rank ended, or needs too long for its last tasks.
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
    waiting: deque[list[TaskName]] = deque()  # chunks that rank 0 has not yielded
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
