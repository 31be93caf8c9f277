"""Tests of the growing .npy files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2st.data.array_files import ArrayWriter, open_array
from s2st.errors import CheckpointError


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("chunks", [[], [[]], [[1, 2], [], [3]], [[-1] * 1000, [2**31 - 1]]])
def test_plain_numpy_reads_what_was_written(tmp_path, dtype, chunks):
    writer = ArrayWriter(tmp_path / "a.npy", dtype)
    for chunk in chunks:
        writer.append(chunk)
    writer.close()
    expected = np.array([value for chunk in chunks for value in chunk], dtype=dtype)
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == dtype
    assert writer.length == len(expected)
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(open_array(tmp_path / "a.npy", dtype), expected)


def test_large_lengths_fit_the_header(tmp_path):
    writer = ArrayWriter(tmp_path / "a.npy", np.int32)
    writer.length = 10**15  # as if a huge corpus had been written
    writer.close()
    with open(tmp_path / "a.npy", "rb") as stream:
        assert np.lib.format.read_magic(stream) == (1, 0)
        assert np.lib.format.read_array_header_1_0(stream)[0] == (10**15,)


@pytest.mark.parametrize("size", [0, 5, 60, 127, 130, 167])
def test_truncated_files(tmp_path, size):
    path = tmp_path / "a.npy"
    writer = ArrayWriter(path, np.int32)
    writer.append(range(10))
    writer.close()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="not a readable array"):
        open_array(path, np.int32)


def test_arrays_of_another_kind(tmp_path):
    path = tmp_path / "a.npy"
    for array in (np.zeros(300, np.int64), np.zeros((30, 30), np.int32), np.zeros(300)):
        np.save(path, array)
        with pytest.raises(CheckpointError, match="expected a flat array"):
            open_array(path, np.int32)
    np.save(path, np.array([{"a": 1}] * 30), allow_pickle=True)
    with pytest.raises(CheckpointError):
        open_array(path, np.int32)
    path.write_bytes(b"x" * 128)  # the size of an empty array's file, but not one
    with pytest.raises(CheckpointError):
        open_array(path, np.int32)
    with pytest.raises(CheckpointError):
        open_array(tmp_path / "missing.npy", np.int32)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=60)
@given(position=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_damaged_header_is_our_error_or_harmless(tmp_path_factory, position, byte):
    path = tmp_path_factory.mktemp("a") / "a.npy"
    writer = ArrayWriter(path, np.int32)
    writer.append(range(10))
    writer.close()
    data = bytearray(path.read_bytes())
    data[position] = byte
    path.write_bytes(bytes(data))
    message, dimensions = "", 1
    try:
        dimensions = open_array(path, np.int32).ndim
    except CheckpointError as error:
        message = str(error)
    assert "\n" not in message
    assert dimensions == 1
