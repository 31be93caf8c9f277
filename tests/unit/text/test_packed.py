"""Compressed inputs and other encodings, recognized by their first bytes, in files and pipes."""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
import tracemalloc

import pytest

from s2st.errors import DataError
from s2st.text import compressed_input
from s2st.text.line_files import read_line, read_lines
from s2st.text.streaming_chunks import read_chunks

TEXT = "été\n\nzwei\n".encode()
PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
# the beginning of files of each program, as its own documentation of the format gives it
OTHERS = {
    "zstd -dc": bytes.fromhex("28b52ffd04582100"),  # RFC 8878, 3.1.1
    "lz4 -dc": bytes.fromhex("04224d186040821000"),  # LZ4 Frame Format, 1.6
    "lzip -dc": b"LZIP\x01\x0c\x00",
    "unzip -p": b"PK\x03\x04\x14\x00\x08\x00",
    "7z x -so": bytes.fromhex("377abcaf271c0004"),
    "unrar p": b"Rar!\x1a\x07\x01\x00",
    "gzip -dc": bytes.fromhex("1f9d90"),  # compress(1)
    "xz --format=lzma": bytes.fromhex("5d00008000ffff"),
    "pdftotext": b"%PDF-1.5\n%\xbf\xf7\xa2\xfe\n",
}


class Standard:
    """Stands for sys.stdin, over the reading end of a pipe that holds some bytes."""

    def __init__(self, data):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            with os.fdopen(writing, "wb") as stream:
                stream.write(data)
            os._exit(0)
        os.close(writing)
        self.buffer = os.fdopen(reading, "rb")


@pytest.fixture
def reads(put, tmp_path, monkeypatch):
    """Ways to read data: a file of a certain name, a named pipe, standard input in chunks."""

    def read(way, data, errors="strict"):
        if way == "standard input":
            stdin = Standard(data)
            monkeypatch.setattr(sys, "stdin", stdin)
            with stdin.buffer:
                try:
                    return [line for chunk in read_chunks("-", 2, errors) for line in chunk]
                finally:
                    os.wait()
        if way == "named pipe":
            os.mkfifo(tmp_path / "pipe")
            if os.fork() == 0:
                with open(tmp_path / "pipe", "wb") as stream:
                    stream.write(data)
                os._exit(0)
            try:
                return list(read_lines(tmp_path / "pipe", errors))
            finally:
                os.wait()
        return list(read_lines(put(data, way), errors))

    return read


WAYS = ["x.txt", "x.gz", "named pipe", "standard input"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PACKERS)
def test_compressed_text_is_read_whatever_its_name(reads, way, name):
    data = PACKERS[name](TEXT) + PACKERS[name](b"last")  # two streams are one text
    assert reads(way, data) == ["été", "", "zwei", "last"]


@pytest.mark.parametrize("way", ["x.txt", "standard input"])
@pytest.mark.parametrize("name", PACKERS)
def test_every_cut_and_every_tail_of_compressed_text_is_found(reads, way, name):
    data = PACKERS[name](TEXT)
    whole = [data[:cut] for cut in range(11, len(data))] + [data + b"x", data + TEXT]
    for damaged in whole[:: 1 if way == "x.txt" else 9]:
        with pytest.raises(DataError, match="reading failed") as caught:
            reads(way, damaged, "replace")
        assert caught.value.line is not None


@pytest.mark.parametrize("name", PACKERS)
def test_a_flipped_bit_never_reads_as_another_text(put, name):
    """Of gzip's header some bits are free: then the text is the right one."""
    data = PACKERS[name](TEXT * 3)
    wanted = (TEXT * 3).decode().split("\n")[:-1]
    suffix = {"gzip": ".gz", "xz": ".xz", "bzip2": ".bz2"}[name]
    wrong = found = 0
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            wrong += list(read_lines(put(bytes(damaged), "x" + suffix), "replace")) != wanted
        except DataError:
            found += 1
    assert wrong == 0
    assert found > 6 * len(data)


@pytest.mark.parametrize("name", PACKERS)
def test_the_programs_own_files_are_read(put, name):
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    done = subprocess.run([name, "-c"], input=TEXT, capture_output=True, check=True)
    assert list(read_lines(put(done.stdout))) == ["été", "", "zwei"]


@pytest.mark.parametrize("name", PACKERS)
def test_what_a_small_file_unpacks_to_takes_little_memory(put, name):
    path = put(PACKERS[name]((b"a b c " * 999 + b"\n") * 4_000), "small")  # 24 MB
    assert path.stat().st_size < 50_000
    tracemalloc.start()
    assert sum(1 for _ in read_lines(path)) == 4_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 << 20  # of them 8 MiB the dictionary of xz


def test_an_xz_file_that_asks_for_too_large_a_dictionary_is_refused(put, monkeypatch):
    monkeypatch.setattr(compressed_input, "MAX_DICTIONARY", 1 << 20)
    with pytest.raises(DataError, match=r"(?i)memory"):
        list(read_lines(put(lzma.compress(TEXT, preset=6))))


@pytest.mark.parametrize("way", ["x.txt", "standard input"])
@pytest.mark.parametrize("command", OTHERS)
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_other_formats_are_named_with_what_unpacks_them(reads, way, command, errors):
    with pytest.raises(DataError, match=command):
        reads(way, OTHERS[command] + bytes(range(256)), errors)


def test_a_name_that_promises_compressed_text(put):
    for suffix in (".gz", ".xz", ".bz2"):
        with pytest.raises(DataError, match=f"its name ends in {suffix}"):
            list(read_lines(put(TEXT, "x" + suffix)))
        with pytest.raises(DataError, match="empty"):
            list(read_lines(put(b"", "x" + suffix)))


@pytest.mark.parametrize("way", ["x.txt", "named pipe", "standard input"])
@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("text", ["The cat sat.\nIt was fed.\n", "\nÉté à Genève.\n"])
def test_text_in_16_or_32_bits_is_named(reads, way, errors, encoding, text):
    name = encoding.upper()[:6] + encoding.upper()[7:]  # as iconv calls it
    with pytest.raises(DataError, match=f"{name[:6]} text.*iconv -f {name} "):
        reads(way, text.encode(encoding), errors)


@pytest.mark.parametrize("packer", PACKERS.values())
def test_utf16_within_compressed_text_is_named(put, packer):
    with pytest.raises(DataError, match="UTF-16 text"):
        list(read_lines(put(packer("Das Haus\n".encode("utf-16"))), "replace"))


@pytest.mark.parametrize("text", ["Большой дом стоит.\n", "Ο σκύλος.\nΗ γάτα.\n", "die Straße\n"])
def test_utf16_of_other_scripts_without_a_mark(put, text):
    for encoding in ("utf-16-le", "utf-16-be"):
        with pytest.raises(DataError, match=r"UTF-16 text without a byte order mark|not UTF-8"):
            list(read_lines(put((text * 3).encode(encoding))))


def test_a_tar_archive_is_named(put, tmp_path):
    (tmp_path / "a").write_bytes(TEXT)
    subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path / "a.tar.gz", "a"], check=True)
    with pytest.raises(DataError, match="tar xf"):
        list(read_lines(tmp_path / "a.tar.gz", "replace"))


@pytest.mark.parametrize(
    "data",
    [b"a\0b\n", b"\0\0\0\0\0\0\0\n", b"B\nZ", b"BZh91A\n", b"PK", b"7", b"(\xc2\xb5)\n", b"]"],
)
def test_text_that_only_looks_alike_stays_text(reads, data):
    expected = data.decode().removesuffix("\n").split("\n")
    for way in ("x.txt", "named pipe", "standard input"):
        assert reads(way, data) == expected


@pytest.mark.parametrize("name", PACKERS)
def test_a_single_line_of_a_compressed_file_is_given_after_its_checksum(put, name):
    data = PACKERS[name](TEXT * 20_000)
    assert read_line(put(data), 1) == "été"
    assert read_line(put(data), 60_001) is None
    with pytest.raises(DataError, match="truncated"):
        read_line(put(data[:-1]), 1)
