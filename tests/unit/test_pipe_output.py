"""Output to a pipe: every byte once, in order, under any signals; and no write blocks forever."""

import contextlib
import os
import threading

import pytest

from s2st.process import pipe_output, stop_signals
from s2st.process.pipe_output import PipeOutput, may_block, open_to_write


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture(autouse=True)
def _no_stop(monkeypatch):
    monkeypatch.setattr(stop_signals, "_number", 0)
    monkeypatch.setattr(stop_signals, "_holds", 0)
    monkeypatch.setattr(stop_signals, "_raised", False)
    monkeypatch.setattr(pipe_output, "GRACE", 0.05)
    monkeypatch.setattr(pipe_output, "STEP", 5)


def read_all(end):
    pieces = []
    while piece := os.read(end, 777):
        pieces.append(piece)
    return b"".join(pieces)


def test_what_is_written_arrives_once_and_in_order(pipe):
    stream = PipeOutput(pipe[1], owned=True)
    found = []
    reader = threading.Thread(target=lambda: found.append(read_all(pipe[0])))
    reader.start()
    texts = [bytes([65 + number % 26]) * (number * 37 % 20_000) for number in range(200)]
    for number, text in enumerate(texts):
        assert stream.write(text) == len(text)
        if number % 7 == 0:
            stream.flush()
    stream.close()
    stream.close()
    reader.join()
    assert found == [b"".join(texts)]
    with pytest.raises(OSError):
        os.write(pipe[1], b"x")


def test_little_is_collected_until_it_is_flushed(pipe):
    stream = PipeOutput(pipe[1])
    stream.write(b"abc")
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 10)
    stream.flush()
    assert os.read(pipe[0], 10) == b"abc"
    stream.close()
    os.write(pipe[1], b"still open")


def test_a_reader_that_is_gone_is_a_closed_pipe(pipe):
    stream = PipeOutput(pipe[1])
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        stream.write(b"x" * 10_000)


@pytest.mark.parametrize("breaks", [True, False])
def test_a_reader_that_takes_nothing_is_given_up_after_a_signal(pipe, breaks):
    stream = PipeOutput(pipe[1], breaks=breaks)
    threading.Timer(0.1, lambda: setattr(stop_signals, "_number", 15)).start()
    with stop_signals.noted():
        if breaks:
            with pytest.raises(stop_signals.Stopped, match="SIGTERM"):
                stream.write(b"x" * 1_000_000)
        else:
            assert stream.write(b"x" * 1_000_000) == 1_000_000
        stream.write(b"y" * 1_000_000)  # dropped, without another wait
        stream.flush()
        stream.close()


def test_a_stop_within_a_write_repeats_nothing(pipe, monkeypatch):
    """The signal comes when the kernel has the bytes and Python does not know it yet."""
    written = []

    def write(descriptor, data):
        written.append(bytes(data))
        stop_signals.request(15)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    stream = PipeOutput(pipe[1])
    stream.write(b"once\n")
    with pytest.raises(stop_signals.Stopped):
        stream.flush()
    stream.flush()
    assert written == [b"once\n"]
    stream.write(b"last words\n")
    stream.flush()
    assert written == [b"once\n", b"last words\n"]


def test_where_a_write_can_wait(pipe, tmp_path):
    assert may_block(pipe[1])
    (tmp_path / "file").write_bytes(b"old")
    for path in (tmp_path / "file", os.devnull):
        with open_to_write(path) as stream:
            assert not isinstance(stream, PipeOutput)
            stream.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with open_to_write(tmp_path / "pipe") as stream:
        assert isinstance(stream, PipeOutput)
        stream.write(b"new")
    assert read_all(reader) == b"new"
    os.close(reader)
