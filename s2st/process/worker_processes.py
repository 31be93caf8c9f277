"""Pool of worker processes that ignore stop signals and end with their parent.

Ctrl-C reaches every process of a terminal's job. A worker that reacted would print a traceback, or
be missing when its parent waits for an answer. So workers start with the signals blocked, then
ignore them. They read tasks from a pipe and end when the parent closes it or ends. The parent kills
them when it leaves the pool; they write no files, so nothing is left incomplete.
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
ITEMS = 2000  # items that `run_in_subprocess` sends together
AHEAD = 3  # tasks in flight per worker: one in work, one waiting, one whose answer waits
SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


class Workers(Generic[T, R]):
    """A pool of worker processes, as a context manager; workers start when tasks arrive.

    Args:
        count: maximal number of processes.
        start: called once in each process with `arguments`; returns the function that does a task.
            It is sent to the processes, so it has to be a function of a module.
        arguments: arguments of `start`.
    """

    def __init__(
        self, count: int, start: Callable[..., Callable[[T], R]], arguments: tuple[Any, ...]
    ) -> None:
        self._count = count
        self._job = start, arguments
        self._context = multiprocessing.get_context("spawn")
        self._started: list[tuple[Connection, Any]] = []

    def map(self, tasks: Iterable[T]) -> Iterator[R]:
        """Yield the answers in the order of the tasks; at most AHEAD tasks per worker in flight.

        Raises:
            S2STError: a task raised it, or a worker process ended.
        """
        in_flight: deque[int] = deque()
        for number, task in enumerate(tasks):
            worker = number % self._count
            self._send(worker, task)
            in_flight.append(worker)
            if len(in_flight) >= AHEAD * self._count:
                yield self._receive(in_flight.popleft())
        while in_flight:
            yield self._receive(in_flight.popleft())

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
            succeeded, answer = self._started[worker][0].recv()
        except (EOFError, OSError) as error:
            raise self._lost(worker) from error
        if not succeeded:
            raise answer
        result: R = answer
        return result

    def _start(self) -> None:
        parent_end, worker_end = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(worker_end, *self._job), daemon=True)
        with held(), _blocked():  # also held, because another thread may receive the signal
            _start_tracker()
            process.start()
            self._started.append((parent_end, process))
        worker_end.close()  # so that the parent sees end of file when the process ends

    def _lost(self, worker: int) -> S2STError:
        process = self._started[worker][1]
        process.join(5)
        code = process.exitcode
        status = f"exit code {code}"
        if code is not None and code < 0:
            status = f"killed by {signal.Signals(-code).name}"
        hint = "; out of memory? Use fewer --workers" if code == -9 else ""
        return S2STError(f"a worker process ended before its work was done ({status}){hint}")


def _start_tracker() -> None:
    """Start multiprocessing's resource tracker first: its start unblocks the signals here."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def run_in_subprocess(
    function: Callable[..., R], items: Iterable[T], arguments: tuple[Any, ...] = ()
) -> R:
    """Call `function(items, *arguments)` in a subprocess, so that a signal can end it.

    Python runs signal handlers only after a library call returns, which may take minutes. Without
    an installed handler the function runs in this process. Its log records appear in this process.

    Args:
        function: a function of a module; its result is sent back.
        items: read in this process, ITEMS at a time.
        arguments: further arguments, sent to the subprocess.
    """
    if not callable(signal.getsignal(signal.SIGTERM)):
        return function(iter(items), *arguments)
    iterator = iter(items)
    batches = iter(lambda: list(islice(iterator, ITEMS)), [])
    with Workers[Any, Any](1, _SubprocessCall, (function, arguments)) as pool:
        *_, (answer, records) = pool.map(chain(batches, [None]))
    for level, text in records:
        log.log(level, "%s", text)
    result: R = answer
    return result


class _SubprocessCall(logging.Handler):
    """Runs the function of `run_in_subprocess` in a thread of the worker, and feeds it items."""

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
        """Keep the record for the parent."""
        self._records.append((record.levelno, record.getMessage()))

    def __call__(self, items: list[Any] | None) -> Any:
        """Pass on some items; for None, the end of the items, return the result and the log."""
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
    """Block the signals for this thread and for processes that it starts."""
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
    """Main loop of a worker: answer tasks in order until the pipe is closed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    tasks: queue.SimpleQueue[tuple[Any] | None] = queue.SimpleQueue()
    # a thread reads tasks at once; otherwise both processes could wait for room in their pipes
    threading.Thread(target=_read, args=(connection, tasks), daemon=True).start()
    work = None
    while (task := tasks.get()) is not None:
        try:
            if work is None:
                work = start(*arguments)
            answer = True, work(task[0])
        except BaseException as error:  # the parent raises it
            answer = False, _portable(error)
        try:
            connection.send(answer)
        except OSError:  # the parent has ended
            return


def _read(connection: Connection, tasks: "queue.SimpleQueue[tuple[Any] | None]") -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            tasks.put((connection.recv(),))
    tasks.put(None)


def _portable(error: BaseException) -> BaseException:
    """Return an error that can be pickled: an S2STError as it is, any other as RuntimeError."""
    if type(error).__module__ == S2STError.__module__ or isinstance(error, MemoryError):
        return error
    return RuntimeError(f"in a worker process: {type(error).__name__}: {error}")
