"""Tests of line reading and writing: line ends, and the errors for bad bytes."""

import gzip
import io
import logging
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2st.errors import DataError, InputMissingError, OutputError
from s2st.process import stop_signals
from s2st.text.compressed_input import recognize
from s2st.text.foreign_encodings import describe_foreign_encoding
from s2st.text.line_files import LineWriter, open_output, read_aligned, read_lines, split_words

VALID_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"\n\n", ["", ""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\rb\n", ["a\r\rb"]),  # a lone CR is no line end
        (b"a\r\r\n", ["a\r"]),  # of several, one belongs to the line end
        (b"a\r", ["a\r"]),
        ("a\u2028b\u2029c\u0085d\n".encode(), ["a\u2028b\u2029c\u0085d"]),
        (b"a\x0cb\x0bc\x1cd\n", ["a\x0cb\x0bc\x1cd"]),
        (b"a\x00b\n", ["a\x00b"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),  # a mark only at the start of the file
    ],
)
def test_lines_end_at_newline_only(put, data, lines):
    assert list(read_lines(put(data))) == lines


def test_crlf_gives_one_warning(put, caplog):
    with caplog.at_level(logging.WARNING, "s2st"):
        assert list(read_lines(put(b"a\nb\r\nc\r\n"))) == ["a", "b", "c"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "line 2" in message
    assert "CRLF" in message


def test_a_byte_order_mark_gives_a_warning(put, caplog):
    with caplog.at_level(logging.WARNING, "s2st"):
        list(read_lines(put(b"\xef\xbb\xbfa\n")))
    assert "byte order mark" in caplog.text


def is_text(data):
    """Whether data are neither compressed nor in another encoding, by their first bytes."""
    first = data.split(b"\n")[0]
    return (
        recognize(data)[0] is None
        and not describe_foreign_encoding(first)
        and b"\0" not in data[:8]
    )


@given(st.binary(max_size=200).filter(is_text))
def test_as_many_lines_as_newline_separated_records(data):
    records = data.split(b"\n")
    if records[-1] == b"":
        records.pop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        lines = list(read_lines(path, "replace"))
    assert len(lines) == len(records)


@given(st.lists(VALID_TEXT.map(lambda text: text.replace("\n", " ")), max_size=8))
def test_write_then_read_gives_the_lines_back(lines):
    # what reading takes away on purpose: a mark at the start, a CR at the end of a line
    lines = [line.rstrip("\r").removeprefix("\ufeff") for line in lines]
    for name in ("x.txt", "x.txt.gz"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            with open_output(path) as write:
                for line in lines:
                    write(line)
            assert list(read_lines(path)) == lines


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b" ")), max_size=6))
def test_read_then_write_gives_valid_files_back(records):
    data = b"".join(record + b"\n" for record in records)
    if not is_text(data):
        return
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    if data.startswith(b"\xef\xbb\xbf") or b"\r\n" in data:
        return
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        first.write_bytes(data)
        with open_output(second) as write:
            for line in read_lines(first):
                write(line)
        assert second.read_bytes() == data


def test_bad_utf8_names_file_and_line(put):
    path = put(b"fine\nalso \xc3\xa9\nbad \xc3\nfine\n")
    lines = read_lines(path)
    assert [next(lines), next(lines)] == ["fine", "also \u00e9"]
    with pytest.raises(DataError, match="byte 5 of the line") as caught:
        next(lines)
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert "\n" not in str(caught.value)


def test_bad_utf8_is_replaced_and_counted_when_asked(put, caplog):
    path = put(b"ok\n\xff\n\xfe\xfe\nok\n")
    with caplog.at_level(logging.WARNING, "s2st"):
        assert list(read_lines(path, "replace")) == ["ok", "\ufffd", "\ufffd\ufffd", "ok"]
    assert "read as U+FFFD in 2 lines" in caplog.text


def test_gz_is_read_and_written_by_name(tmp_path):
    path = tmp_path / "x.gz"
    with open_output(path) as write:
        write("\u00e9t\u00e9")
        write("")
    assert gzip.decompress(path.read_bytes()) == "\u00e9t\u00e9\n\n".encode()
    assert list(read_lines(path)) == ["\u00e9t\u00e9", ""]


def test_gz_members_one_after_the_other_are_one_text(put):
    data = gzip.compress(b"a\n") + gzip.compress(b"b\n")
    assert list(read_lines(put(data, "x.gz"))) == ["a", "b"]


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_truncated_gz_is_a_data_error(put, cut):
    data = gzip.compress("".join(f"line {i * i}\n" for i in range(5000)).encode())
    with pytest.raises(DataError, match="reading failed"):
        list(read_lines(put(data[: int(len(data) * cut)], "x.gz")))


def test_gz_by_name_only_is_a_data_error(put):
    with pytest.raises(DataError, match=r"x\.gz, line 1"):
        list(read_lines(put(b"plain text\n", "x.gz")))


def test_corrupt_gz_is_a_data_error(put):
    data = bytearray(gzip.compress(bytes(range(256)) * 200))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(DataError, match=r"x\.gz"):
        list(read_lines(put(bytes(data), "x.gz"), "replace"))


@pytest.mark.parametrize("name", ["missing", "missing.gz", "", "a/b"])
def test_missing_input(tmp_path, name):
    with pytest.raises(InputMissingError, match="cannot be read"):
        list(read_lines(tmp_path / name))  # "" is the folder itself


def test_output_that_cannot_be_opened(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), open_output(tmp_path / "no" / "x"):
        pass
    with pytest.raises(OutputError, match="cannot be written"), open_output(tmp_path):
        pass


def test_a_signal_in_the_middle_of_a_line_waits_for_its_end(monkeypatch):
    monkeypatch.setattr(stop_signals, "_number", 0)
    written = []

    class Slow:
        def write(self, data):
            written.append(data[:2])
            stop_signals.request(signal.SIGTERM)
            written.append(data[2:])

    with pytest.raises(stop_signals.Stopped):
        LineWriter(Slow())("a line")
    assert b"".join(written) == b"a line\n"


def test_full_disk_is_an_output_error():
    def fill():
        with open_output("/dev/full") as write:
            for _ in range(10_000):
                write("some text")

    with pytest.raises(OutputError, match="No space left"):
        fill()


def test_aligned_files(tmp_path):
    (tmp_path / "a").write_bytes("x\u2028y\n\nz".encode())
    (tmp_path / "b").write_bytes(b"1\n2\n3\n")
    rows = list(read_aligned([tmp_path / "a", tmp_path / "b"]))
    assert rows == [("x\u2028y", "1"), ("", "2"), ("z", "3")]


@pytest.mark.parametrize(("first", "second", "short"), [(2, 3, "a"), (3, 2, "b"), (0, 1, "a")])
def test_unequal_files_name_the_shorter_and_the_line(tmp_path, first, second, short):
    (tmp_path / "a").write_bytes(b"x\n" * first)
    (tmp_path / "b").write_bytes(b"x\n" * second)
    with pytest.raises(DataError, match="the same number of lines") as caught:
        list(read_aligned([tmp_path / "a", tmp_path / "b"]))
    assert caught.value.path == str(tmp_path / short)
    assert caught.value.line == min(first, second) + 1


def test_standard_input_stays_open(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(b"a\nb\n"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert list(read_lines("-")) == ["a", "b"]
    assert not stream.closed


def test_closed_standard_input_is_an_input_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # what Python makes of `<&-`
    with pytest.raises(InputMissingError, match="standard input"):
        list(read_lines("-"))


def test_words_are_between_ascii_white_space_only():
    assert split_words(" a\tb \u00a0c\u2028d\r\x0be\x0c ") == ["a", "b", "\u00a0c\u2028d", "e"]
    assert split_words(" \t ") == []
