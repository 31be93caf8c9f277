"""Worker processes: signals are their parent's business, and they end when it ends.

Ctrl-C reaches every process of a terminal's job. A worker that acted on it would print a traceback,
or be missing when its parent waits for an answer. So workers are started with the signals blocked,
ignore them, and read their tasks from a pipe whose end tells them that the parent has closed it or
is gone. The parent kills them when it leaves: they hold nothing that could be torn.
"""

import contextlib
import logging
import multiprocessing
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from s2st.errors import S2STError
from s2st.process.stop_signals import held

log = logging.getLogger("s2st")
T = TypeVar("T")
R = TypeVar("R")
ITEMS = 2000  # of `run_apart`, sent together
AHEAD = 3  # tasks a worker: one in work, one waiting, one whose answer waits
SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


class Workers(Generic[T, R]):
    """A pool of processes, started as tasks come; a context, at whose end they are gone.

    Args:
        count: processes at most.
        start: called once in each process with `arguments`; gives what does a task. It and the
            arguments are sent to the processes, so it has to be a function of a module.
        arguments: of `start`.
    """

    def __init__(
        self, count: int, start: Callable[..., Callable[[T], R]], arguments: tuple[Any, ...]
    ) -> None:
        self._count = count
        self._job = start, arguments
        self._context = multiprocessing.get_context("spawn")
        self._started: list[tuple[Connection, Any]] = []

    def map(self, tasks: Iterable[T]) -> Iterator[R]:
        """The answers in the order of the tasks; at most AHEAD tasks a worker are in flight.

        Raises:
            S2STError: what a task raised, or a process ended.
        """
        flying: deque[int] = deque()
        for number, task in enumerate(tasks):
            worker = number % self._count
            self._send(worker, task)
            flying.append(worker)
            if len(flying) >= AHEAD * self._count:
                yield self._receive(flying.popleft())
        while flying:
            yield self._receive(flying.popleft())

    def __enter__(self) -> "Workers[T, R]":
        return self

    def __exit__(self, *_: object) -> None:
        with held():
            for connection, process in self._started:
                connection.close()
                process.kill()
            for pair in self._started:
                pair[1].join()
            self._started = []

    def _send(self, worker: int, task: T) -> None:
        if worker == len(self._started):
            self._start()
        try:
            self._started[worker][0].send(task)
        except OSError as error:
            raise self._lost(worker) from error

    def _receive(self, worker: int) -> R:
        try:
            good, answer = self._started[worker][0].recv()
        except (EOFError, OSError) as error:
            raise self._lost(worker) from error
        if not good:
            raise answer
        result: R = answer
        return result

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, *self._job), daemon=True)
        with held(), _blocked():  # held too, since another thread may be given the signal
            _start_tracker()
            process.start()
            self._started.append((ours, process))
        theirs.close()  # so that its end is seen here when the process ends

    def _lost(self, worker: int) -> S2STError:
        process = self._started[worker][1]
        process.join(5)
        code = process.exitcode
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"by {signal.Signals(-code).name}"
        hint = "; out of memory? Use fewer --workers" if code == -9 else ""
        return S2STError(f"a worker process ended before its work was done ({how}){hint}")


def _start_tracker() -> None:
    """Starts multiprocessing's own helper, which unblocks the signals here when it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def run_apart(function: Callable[..., R], items: Iterable[T], arguments: tuple[Any, ...] = ()) -> R:
    """Calls `function(items, *arguments)` in a process of its own, so that a signal can end it.

    Python's handlers wait for the end of a library's call, which may take minutes. Where no handler
    is installed, the function is called here. What it logs to "s2st" is logged here.

    Args:
        function: of a module; its answer is sent back.
        items: read here, a few thousand at a time.
        arguments: are sent.
    """
    if not callable(signal.getsignal(signal.SIGTERM)):
        return function(iter(items), *arguments)
    iterator = iter(items)
    batches = iter(lambda: list(islice(iterator, ITEMS)), [])
    with Workers[Any, Any](1, _Apart, (function, arguments)) as pool:
        *_, (answer, records) = pool.map(chain(batches, [None]))
    for level, text in records:
        log.log(level, "%s", text)
    result: R = answer
    return result


class _Apart(logging.Handler):
    """In the worker of `run_apart`: the function in a thread, which is fed the items."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__()
        self._items: queue.Queue[list[Any] | None] = queue.Queue(AHEAD)
        self._records: list[tuple[int, str]] = []
        self._error: BaseException | None = None
        log.addHandler(self)
        log.setLevel(logging.INFO)
        log.propagate = False
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the record for the parent."""
        self._records.append((record.levelno, record.getMessage()))

    def __call__(self, items: list[Any] | None) -> Any:
        """Hands on some items; after the last ones, None, gives the answer and what was logged."""
        while self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._items.put(items, timeout=0.1)
                break
        if items is None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return None if items is not None else (self._answer, self._records)

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            self._answer = function(chain.from_iterable(iter(self._items.get, None)), *arguments)
        except BaseException as error:
            self._error = error


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Inside, this thread, and a process that it starts, does not get the signals."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    connection: Connection, start: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]
) -> None:
    """The life of a worker: answers tasks in order until the pipe ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    tasks: queue.SimpleQueue[tuple[Any] | None] = queue.SimpleQueue()
    # tasks are read at once, so that the parent never waits for room in the pipe while this process
    # waits for room for an answer
    threading.Thread(target=_read, args=(connection, tasks), daemon=True).start()
    work = None
    while (task := tasks.get()) is not None:
        try:
            if work is None:
                work = start(*arguments)
            answer = True, work(task[0])
        except BaseException as error:  # whatever it is, the parent has to know
            answer = False, _portable(error)
        try:
            connection.send(answer)
        except OSError:  # the parent is gone
            return


def _read(connection: Connection, tasks: "queue.SimpleQueue[tuple[Any] | None]") -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            tasks.put((connection.recv(),))
    tasks.put(None)


def _portable(error: BaseException) -> BaseException:
    """An error that can be sent: one of s2st's own, or one that says what it was."""
    if type(error).__module__ == S2STError.__module__ or isinstance(error, MemoryError):
        return error
    return RuntimeError(f"in a worker process: {type(error).__name__}: {error}")
