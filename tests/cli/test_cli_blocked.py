"""A signal ends a command that is blocked on a pipe that nobody reads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = [sys.executable, "-m", "s2st_cli"]
MANY = 40_000  # lines; a pipe takes 64 KiB


def heed():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_until_blocked(process):
    """Until the process sleeps and has not run for a while: it waits for a reader."""
    still, before = 0, None
    while still < 10:
        assert process.poll() is None, process.communicate()
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        now = fields[11], fields[12]  # ticks in user and kernel mode
        still = still + 1 if (fields[0], now) == ("S", before) else 0
        before = now
        time.sleep(0.1)


@pytest.fixture
def long_text(tmp_path):
    path = tmp_path / "long"
    path.write_text("the cat .\n" * MANY)
    return str(path)


@pytest.fixture
def ngrams(world, tmp_path):
    from s2st_cli.main import run

    path = tmp_path / "lm.arpa"
    assert run(["train-ngram", str(world.source), "-o", str(path), "--discount-fallback"]) == 0
    return str(path)


def commands(tmp_path, ngrams, long_text):
    nbest = tmp_path / "nbest"
    lists = (f"{i} ||| the cat . ||| LM= -1 ||| -1\n" for i in range(MANY))
    nbest.write_text("".join(lists))
    model = ["--checkpoint", ngrams]
    return {
        "generate": ["generate", *model, "--max-len-b", "3", "--buffer-size", "64", long_text],
        "score": ["score", *model, "--target", long_text],
        "rescore": [
            "rescore-nbest", str(nbest), *model, "--source", long_text, "--format", "nbest",
        ],
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["generate", "score", "rescore"])
def test_a_signal_ends_a_command_whose_output_nobody_reads(
    tmp_path, ngrams, long_text, name, number
):
    """Two SIGTERMs did not end `generate`: its write waited within `interrupt.held`."""
    command = [*RUN, *commands(tmp_path, ngrams, long_text)[name]]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed
    ) as process:
        wait_until_blocked(process)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        err = process.stderr.read().decode()
        out = process.stdout.read()
    assert err.splitlines()[-1] == f"s2st: error: stopped by {number.name}"
    assert "Traceback" not in err
    assert len(out) > 10_000


SCRIPT = """
import os, sys, time
from s2st_cli import signal_handlers
from s2st_cli import standard_streams
from s2st_cli.__main__ import entry_point
from s2st_cli import main
@main.main.command("flood", cls=main.click.Command)
def flood():
    {body}
main.COMMANDS["flood"] = ""
sys.argv = ["s2st", "flood"]
main._Program.get_command = lambda self, ctx, name: flood
entry_point()
"""
BODIES = {
    "show": (
        "from s2st_cli.terminal_output import show\\n    for i in range(100_000): show('x' * 50)"
    ),
    "one piece": "from s2st_cli.terminal_output import show\\n    show('x' * 10_000_000)",
    "buffer": "sys.stdout.buffer.write(b'x' * 10_000_000)",
    "flushed": (
        "from s2st_cli.terminal_output import flush_stdout, show\\n"
        "    for i in range(100_000): show('x' * 50); flush_stdout()"
    ),
    "held": (
        "from s2st.text.line_files import open_output\\n"
        "    with open_output('-') as write:\\n"
        "        for i in range(100_000): write('x' * 50)"
    ),
    "named pipe": (
        "from s2st.text.line_files import open_output\\n"
        "    with open_output(os.environ['PIPE']) as write:\\n"
        "        for i in range(100_000): write('x' * 50)"
    ),
    "packed": (
        "import random\\n"
        "    from s2st.text.line_files import open_output\\n"
        "    with open_output(os.environ['PIPE'] + '.gz') as write:\\n"
        "        for i in range(100_000): write(random.randbytes(50).hex())"
    ),
    "whole file": (
        "from pathlib import Path\\n"
        "    from s2st.process import durable_files\\n"
        "    durable_files.replace_file(Path(os.environ['PIPE']), b'x' * 10_000_000)"
    ),
    "stderr": "for i in range(100_000): print('x' * 50, file=sys.stderr)",
}


@pytest.mark.parametrize("body", BODIES, ids=str)
def test_a_signal_ends_every_kind_of_write(tmp_path, body):
    for name in ("pipe", "pipe.gz"):
        os.mkfifo(tmp_path / name)
    readers = [
        os.open(tmp_path / name, os.O_RDONLY | os.O_NONBLOCK) for name in ("pipe", "pipe.gz")
    ]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=BODIES[body].replace("\\n", "\n"))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed,
        env={**os.environ, "PIPE": str(tmp_path / "pipe")},
    ) as process:  # fmt: skip
        wait_until_blocked(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        err = process.stderr.read().decode()
    if body != "stderr":  # nobody read it
        assert err == "s2st: error: stopped by SIGTERM\n"
    for reader in readers:
        os.close(reader)


def test_a_slow_reader_gets_whole_lines(tmp_path):
    """A line longer than a pipe takes at once, and a signal while it is being read."""
    body = BODIES["held"].replace("'x' * 50", "'x' * 30_000").replace("\\n", "\n")
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed, bufsize=0,
    ) as process:  # fmt: skip
        wait_until_blocked(process)
        process.send_signal(signal.SIGTERM)
        pieces = []
        while piece := process.stdout.read(3000):
            pieces.append(piece)
        assert process.wait(60) == 143
    data = b"".join(pieces)
    assert data.endswith(b"\n")
    assert set(data.split(b"\n")[:-1]) == {b"x" * 30_000}
