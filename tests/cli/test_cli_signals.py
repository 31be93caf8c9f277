"""Signals to the program: terminals, `nohup`, a second Ctrl-C, a signal during start-up."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest

RUN = [sys.executable, "-m", "s2st_cli"]
SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--min-len", "1", "--threads", "1"]
# installs the handlers, does BODY, then tells that it got there
SCRIPT = """
import sys, time
from s2st.process import stop_signals
from s2st_cli import signal_handlers
signal_handlers.install()
try:
    {body}
except stop_signals.Stopped as stopped:
    print(stopped, flush=True)
"""


def heeding():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(command, before=heeding, **streams):
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=before, **streams
    )


def script(*body):
    return [sys.executable, "-c", SCRIPT.format(body="\n    ".join(body))]


@pytest.mark.slow
def test_a_terminal_is_answered_line_by_line_until_ctrl_c(world):
    ours, theirs = pty.openpty()

    def own_terminal():
        heeding()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    command = [*RUN, "generate", "--checkpoint", str(world.forward), *SHORT]
    process = start(command, own_terminal, stdin=theirs, start_new_session=True)
    with process:
        for text in (b"the cat .\n", b"\n", b"a dog .\n"):
            os.write(ours, text)
            answer = process.stdout.readline()
            assert answer.endswith(b"\n")
            assert (answer == b"\n") == (text == b"\n")
        os.write(ours, b"\x03")
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, out, err) == (130, b"", b"s2st: error: stopped by SIGINT\n")


@pytest.mark.slow
def test_a_signal_that_the_shell_ignores_stays_ignored(world):
    def nohup():
        heeding()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    command = [*RUN, "generate", "--checkpoint", str(world.forward), *SHORT]
    with start(command, nohup, stdin=subprocess.PIPE) as process:
        for _ in range(2):
            process.stdin.write(b"the cat .\n")
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\n")
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, b"", b"s2st: error: stopped by SIGTERM\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_among_the_first_imports(number):
    """Before click is there: a finder takes its time over it."""
    code = """
import importlib.abc, sys, time
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "click":
            print("click", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
sys.argv = ["s2st", "list"]
from s2st_cli.__main__ import entry_point
entry_point()
"""
    with start([sys.executable, "-c", code]) as process:
        assert process.stdout.readline() == b"click\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert (out, err) == (b"", f"s2st: error: stopped by {number.name}\n".encode())


def test_a_second_ctrl_c_ends_even_what_is_held():
    body = ("with stop_signals.held():", "    for i in range(60):", "        print(i, flush=True)")
    with start(script(*body, "        time.sleep(1)")) as process:
        assert process.stdout.readline() == b"0\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"1\n"  # the first one waits
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
        assert process.stderr.read() == b""


def test_nothing_comes_in_the_way_of_the_end():
    body = ("signal_handlers.finish()", "print('done', flush=True)", "sys.stdin.readline()")
    with start(script(*body), stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"done\n"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
        out, err = process.communicate(b"\n", timeout=30)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_a_library_that_eats_the_stop_changes_nothing(s2st, world, monkeypatch):
    """safetensors answers a signal with an error of its own: the weights were "not readable"."""
    import safetensors.torch

    from s2st.process import stop_signals

    def load_file(path):
        with pytest.raises(stop_signals.Stopped):
            stop_signals.request(signal.SIGTERM)
        raise RuntimeError("could not determine the shape")

    for name, value in (("_number", 0), ("_raised", False)):
        monkeypatch.setattr(stop_signals, name, value)
    monkeypatch.setattr(safetensors.torch, "load_file", load_file)
    with pytest.raises(stop_signals.Stopped, match="SIGTERM"):
        s2st("generate", "--checkpoint", world.forward, world.source)
