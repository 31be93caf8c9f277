"""Worker processes: order, errors, and that they end with their parent and not before it."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from s2st.errors import DataError, S2STError
from s2st.process.worker_processes import AHEAD, Workers, run_in_subprocess

ROOT = Path(__file__).parents[2]


def doubler(offset):
    def work(number):
        if number == 13:
            raise DataError("unlucky", "numbers", 14)
        if number == 17:
            raise KeyError("seventeen")
        if number == 19:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number + offset

    return work


def refuse():
    raise S2STError("cannot start")


def longest(texts, least):
    logging.getLogger("s2st").warning("least is %d", least)
    found = max(texts, key=len, default="")
    if len(found) < least:
        raise S2STError(f"none of {least}")
    return found


@pytest.mark.parametrize("count", [1, 3])
def test_answers_come_in_the_order_of_the_tasks(count):
    with Workers(count, doubler, (1,)) as workers:
        assert list(workers.map(range(12))) == [2 * n + 1 for n in range(12)]
        assert list(workers.map([5])) == [11]


def test_large_tasks_and_answers_do_not_wait_for_each_other():
    """Both pipes are full at once: 64 KiB is what they hold."""
    texts = ["x" * 1_000_000] * 5
    with Workers(1, len_and_text, ()) as workers:
        assert list(workers.map(texts)) == [(1_000_000, text) for text in texts]


def len_and_text():
    return lambda text: (len(text), text)


def test_few_tasks_start_few_processes_and_are_read_as_they_are_needed():
    taken = []

    def tasks():
        for number in range(11):
            taken.append(number)
            yield number

    with Workers(200, doubler, (0,)) as workers:
        assert next(workers.map([1])) == 2
        assert len(workers._started) == 1
    with Workers(1, doubler, (0,)) as workers:
        assert next(workers.map(tasks())) == 0
        assert len(taken) == AHEAD


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (13, DataError, "^numbers, line 14: unlucky$"),
        (17, RuntimeError, "^in a worker process: KeyError: 'seventeen'$"),
        (
            19,
            S2STError,
            r"ended before its work was done \(killed by SIGKILL\); out of memory\? Use fewer",
        ),
    ],
)
def test_what_goes_wrong_in_a_worker_is_told_here(number, error, text):
    with Workers(2, doubler, (0,)) as workers, pytest.raises(error, match=text):
        list(workers.map(range(number, 40)))
    with Workers(2, refuse, ()) as workers, pytest.raises(S2STError, match=r"^cannot start$"):
        list(workers.map(range(4)))


@pytest.mark.parametrize("apart", [False, True])
def test_a_function_apart_is_the_function(apart, monkeypatch, caplog):
    if apart:
        monkeypatch.setattr(signal, "getsignal", lambda number: print)
    texts = [str(number) for number in range(10_001)]
    with caplog.at_level(logging.INFO, "s2st"):
        assert run_in_subprocess(longest, texts, (3,)) == "10000"
        assert run_in_subprocess(longest, [], (0,)) == ""
        with pytest.raises(S2STError, match="none of 9"):
            run_in_subprocess(longest, texts, (9,))
    assert [record.getMessage() for record in caplog.records][:2] == ["least is 3", "least is 0"]


SCRIPT = """
import os, sys, time
sys.path[:0] = [{tests!r}, {root!r}]
from s2st.process import stop_signals
from s2st.process.worker_processes import Workers
from s2st_cli import signal_handlers
from test_processes import sleeper
if __name__ == "__main__":
    signal_handlers.install()
    try:
        with Workers(2, sleeper, ()) as workers:
            for answer in workers.map(range(1000)):
                print(answer, flush=True)
    except stop_signals.Stopped as stopped:
        print(stopped, flush=True)
"""


def sleeper():
    def work(number):
        time.sleep(0.05)
        return os.getpid()

    return work


def start(tmp_path):
    """A process with two workers, in a group of its own; their numbers."""
    path = tmp_path / "parent.py"
    path.write_text(
        textwrap.dedent(SCRIPT.format(tests=str(Path(__file__).parent), root=str(ROOT)))
    )
    process = subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=heed, cwd=tmp_path,
    )  # fmt: skip
    return process, [int(process.stdout.readline()) for _ in range(2)]


def heed():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def end_of_group(group):
    """Waits for the end of all processes of a group."""
    for _ in range(3000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("processes are left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_ends_all_without_a_word_of_the_workers(tmp_path, number):
    process, _ = start(tmp_path)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == f"stopped by {number.name}"
    assert err == ""
    end_of_group(process.pid)


def test_workers_ignore_a_signal_of_their_own(tmp_path):
    process, workers = start(tmp_path)
    for worker in workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker, number)
    assert {int(process.stdout.readline()) for _ in range(20)} == set(workers)
    process.terminate()
    process.communicate(timeout=60)
    end_of_group(process.pid)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    process, _ = start(tmp_path)
    process.kill()
    _, err = process.communicate(timeout=60)
    assert err == ""
    end_of_group(process.pid)
