"""Files of vector sequences against the arrays that were saved."""

import numpy as np
import pytest

from s2st.errors import DataError, InputMissingError
from s2st.text import vector_files
from s2st.text.vector_files import open_vectors, read_vector_chunks

LENGTHS = np.array([0, 3, 0, 5, 1, 0, 0])
VALUES = np.random.default_rng(3).normal(size=(9, 4))


def save(folder, form, values=VALUES, lengths=LENGTHS):
    """Write the arrays in a form; return the path."""
    if form == "npz":
        np.savez(folder / "v.npz", values=values, lengths=lengths)
        return str(folder / "v.npz")
    if form == "compressed":
        np.savez_compressed(folder / "c.npz", values=values, lengths=lengths)
        return str(folder / "c.npz")
    place = folder / "pair"
    place.mkdir()
    np.save(place / "values.npy", values)
    np.save(place / "lengths.npy", lengths)
    return str(place)


@pytest.mark.parametrize("piece", [1, 4, 8, 12, 20, 1 << 22])
@pytest.mark.parametrize("form", ["npz", "compressed", "folder"])
def test_sequences_of_different_lengths_come_back(tmp_path, monkeypatch, form, piece):
    monkeypatch.setattr(vector_files, "PIECE", piece)
    found = open_vectors(save(tmp_path, form))
    lines = [line.values for line in found.lines()]
    assert (found.size, len(found)) == (4, 7)
    assert [len(values) for values in lines] == LENGTHS.tolist()
    np.testing.assert_array_equal(np.concatenate(lines), VALUES.astype(np.float32))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "uint8", "int64", "bool", ">f4"])
def test_equal_lengths_and_every_type_of_number(tmp_path, kind):
    path = tmp_path / "v.npy"
    values = (np.arange(30).reshape(5, 3, 2) % 7).astype(kind)
    np.save(path, values)
    lines = list(open_vectors(str(path)).lines())
    np.testing.assert_array_equal(
        np.stack([line.values for line in lines]), values.astype(np.float32)
    )
    assert lines[0] == "[3 vectors of size 2]"
    np.save(path, values[:, 0])  # one vector for each sentence
    lines = list(open_vectors(str(path)).lines())
    np.testing.assert_array_equal(
        np.concatenate([line.values for line in lines]), values[:, 0].astype(np.float32)
    )
    np.save(path, np.asfortranarray(values))
    np.testing.assert_array_equal(
        np.stack([line.values for line in open_vectors(str(path)).lines()]), values.astype("f4")
    )


def test_chunks_and_files_without_sentences(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((5, 2, 3)))
    assert [len(c) for c in read_vector_chunks(str(tmp_path / "v.npy"), 2)] == [2, 2, 1]
    np.save(tmp_path / "v.npy", np.ones((0, 2, 3)))
    assert list(read_vector_chunks(str(tmp_path / "v.npy"), 2)) == []


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"values": VALUES, "lengths": LENGTHS[:-3]}, "add up to 8 vectors, but values has 9"),
        ({"values": VALUES, "lengths": np.array([10, -1])}, "sentence 2 has a negative length"),
        ({"values": VALUES, "lengths": np.array([9.0])}, "lengths must be whole numbers"),
        ({"values": VALUES[0], "lengths": LENGTHS}, "values of shape"),
        ({"values": VALUES.astype("S3"), "lengths": LENGTHS}, "vectors must be real numbers"),
        ({"values": np.zeros((0, 0)), "lengths": np.array([0])}, "vectors of size 0"),
        ({"values": np.asfortranarray(VALUES), "lengths": LENGTHS}, "ascontiguousarray"),
        ({"values": VALUES}, "no `values` and `lengths`"),
    ],
)
def test_damaged_pairs_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(DataError, match=message) as told:
        open_vectors(str(tmp_path / "v.npz"))
    assert str(told.value).startswith(f"{tmp_path}/v.npz: ")


def test_the_first_number_that_is_not_finite_is_named(tmp_path):
    for wrong, shown in ((np.nan, "nan"), (-np.inf, "-inf"), (1e39, "inf")):  # beyond float32
        values = VALUES.copy()
        values[6, 2] = wrong
        path = save(tmp_path, "npz", values)
        told = f"sentence 4, vector 4, number 3: {shown} is not a finite float32 number"
        with pytest.raises(DataError, match=told):
            list(open_vectors(path).lines())


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "v.npy"
    with pytest.raises(InputMissingError, match="cannot read the vectors: No such file"):
        open_vectors(str(path))
    with pytest.raises(InputMissingError, match="cannot read the vectors: No such file"):
        open_vectors(str(tmp_path))
    for content in (b"", b"text\n", b"\x93NUMPY\x01\x00\xff\xff{"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a NumPy file of vectors"):
            open_vectors(str(path))
        (tmp_path / "v.npz").write_bytes(content)
        with pytest.raises(DataError, match="not a NumPy file of vectors"):
            open_vectors(str(tmp_path / "v.npz"))
    np.save(path, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a NumPy file of vectors"):
        open_vectors(str(path))
    np.save(path, np.zeros(5))
    with pytest.raises(DataError, match=r"an array of shape \(5,\)"):
        open_vectors(str(path))
    np.save(path, np.zeros((4, 5)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError):
        open_vectors(str(path))


def test_a_file_that_shrinks_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_files, "PIECE", 4)
    found = open_vectors(save(tmp_path, "npz"))
    np.savez(tmp_path / "v.npz", values=VALUES[:4], lengths=LENGTHS)
    with pytest.raises(DataError, match="damaged"):
        list(found.lines())
