"""Tests of chunked reading: no line is lost, and reading never waits for more lines."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2st.errors import DataError
from s2st.text.streaming_chunks import READ_SIZE, read_chunks

ECHO = """
import sys
from s2st.text.streaming_chunks import read_chunks
for chunk in read_chunks("-", int(sys.argv[1])):
    sys.stdout.write(str(len(chunk)) + " " + "|".join(chunk) + "\\n")
    sys.stdout.flush()
"""


class PipedInput:
    """Stands for sys.stdin, over the reading end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.buffer = os.fdopen(descriptor, "rb")


@pytest.fixture
def pipe(monkeypatch) -> Iterator[int]:
    """The writing end of a pipe that is standard input; the test closes it."""
    reading, writing = os.pipe()
    stdin = PipedInput(reading)
    monkeypatch.setattr(sys, "stdin", stdin)
    yield writing
    stdin.buffer.close()


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (100, [5])])
def test_a_file_comes_in_full_chunks(put, size, lengths):
    chunks = list(read_chunks(put(b"a\nb\n\nc\nd"), size))
    assert [len(chunk) for chunk in chunks] == lengths
    assert [line for chunk in chunks for line in chunk] == ["a", "b", "", "c", "d"]


def test_an_empty_file_has_no_chunks(put):
    assert list(read_chunks(put(b""), 3)) == []


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a\nb\n\nc", b"\n\n\n", "\u00e9\u2028\n".encode() * 7, b"a\r\nb\r\n"]
)
def test_a_pipe_gives_the_lines_of_the_same_file(pipe, put, size, data):
    os.write(pipe, data)
    os.close(pipe)
    chunks = list(read_chunks("-", size))
    assert all(1 <= len(chunk) <= size for chunk in chunks)
    expected = [line for chunk in read_chunks(put(data), size) for line in chunk]
    assert [line for chunk in chunks for line in chunk] == expected


def lines_or_fault(path, size):
    """All lines, or what is said of them, without the input's name."""
    try:
        return [line for chunk in read_chunks(path, size, "replace") for line in chunk]
    except DataError as error:
        return str(error).removeprefix("standard input" if path == "-" else str(path))


@settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"\xef\xbb\xbf", b"\xff", b"\x00", b"\x0c"])
        | st.binary(max_size=9),
        max_size=20,
    ),
    size=st.integers(1, 4),
)
def test_any_bytes_are_the_same_lines_from_a_pipe_and_a_file(put, monkeypatch, pieces, size):
    data = b"".join(pieces)
    reading, writing = os.pipe()
    stdin = PipedInput(reading)
    with monkeypatch.context() as patch, stdin.buffer:
        patch.setattr(sys, "stdin", stdin)
        os.write(writing, data)
        os.close(writing)
        found = lines_or_fault("-", size)
    expected = lines_or_fault(put(data), size)
    assert found == expected
    if isinstance(expected, list):  # else they begin as UTF-16 or compressed data do
        assert len(expected) == len(data.split(b"\n")) - (data[-1:] in (b"", b"\n"))


def test_a_line_longer_than_one_read_stays_whole(pipe):
    long = b"x" * (READ_SIZE // 2)
    if os.fork() == 0:  # a pipe holds less than the line: it needs a writer of its own
        for _ in range(5):
            os.write(pipe, long)
        os.write(pipe, b"\nb\n")
        os._exit(0)
    os.close(pipe)
    lines = [line for chunk in read_chunks("-", 10) for line in chunk]
    os.wait()
    assert [len(line) for line in lines] == [5 * len(long), 1]


def test_line_i_is_answered_before_line_i_plus_1_is_written():
    with subprocess.Popen(
        [sys.executable, "-c", ECHO, "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in (b"one", b"", b"three"):
            process.stdin.write(text + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"1 " + text + b"\n"
        process.stdin.write(b"no end")
        process.stdin.close()
        assert process.stdout.read() == b"1 no end\n"
        assert process.wait() == 0


def test_bad_utf8_on_a_pipe_names_the_line(pipe):
    os.write(pipe, b"a\nb\n\xff\n")
    os.close(pipe)
    with pytest.raises(DataError, match=r"^standard input, line 3: ") as caught:
        list(read_chunks("-", 10))
    assert caught.value.line == 3


def test_bad_utf8_on_a_pipe_is_counted_when_replaced(pipe, caplog):
    os.write(pipe, b"a\n\xff\n\xff")
    os.close(pipe)
    with caplog.at_level(logging.WARNING, "s2st"):
        lines = [line for chunk in read_chunks("-", 2, "replace") for line in chunk]
    assert lines == ["a", "\ufffd", "\ufffd"]
    assert "read as U+FFFD in 2 lines" in caplog.text


def test_standard_input_from_a_file_comes_in_full_chunks(tmp_path: Path):
    path = tmp_path / "in"
    path.write_bytes(b"a\nb\nc\n")
    with open(path, "rb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", ECHO, "2"], stdin=stream, stdout=subprocess.PIPE, check=True
        )
    assert done.stdout == b"2 a|b\n1 c\n"
