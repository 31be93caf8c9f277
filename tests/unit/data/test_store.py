"""Tests of opening stores, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tampering import reseal

from s2st.data.array_files import ArrayWriter
from s2st.data.batch_loader import load_batch
from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.store import MANIFEST, Store
from s2st.errors import CheckpointError, InputMissingError, S2STError
from s2st.text.tokenizers import NoneConfig, TokenizerSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of three pairs."""
    (tmp_path / "t.tsv").write_text("a b\tx\nb\ty y\nc c c\tz\n")
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    config = PreprocessConfig(
        "en", "fr", tsv=str(tmp_path / "t.tsv"), destdir=str(tmp_path / "store")
    )
    return write_store(config, *specs).folder


def write_array(path: Path, values: object, dtype: type) -> None:
    path.unlink(missing_ok=True)
    writer = ArrayWriter(path, dtype)
    writer.append(values)
    writer.close()


def open_all(folder: Path) -> None:
    """Everything that training asks of a store."""
    store = Store(folder)
    store.content_hash()
    for name in store.splits:
        store.split(name)


def change_manifest(folder: Path, **values: object) -> None:
    reseal(folder, lambda manifest: manifest.update(values))


def test_a_store_says_what_it_holds(folder):
    store = Store(folder)
    assert (store.source_language, store.target_language) == ("en", "fr")
    assert store.splits == ["train"]
    corpus = store.split("train")
    assert len(corpus) == len(corpus.source) == len(corpus.target) == 3
    assert corpus.target.lengths().tolist() == [1, 2, 1]


def test_the_arrays_are_mapped_not_read(folder):
    corpus = Store(folder).split("train")
    assert isinstance(corpus.source.ids, np.memmap)
    assert not corpus.source.ids.flags.writeable


def test_equal_content_has_an_equal_hash(folder, tmp_path):
    config = {"source_lang": "en", "target_lang": "fr"}
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    first = Store(folder).content_hash()
    again, other = tmp_path / "again", tmp_path / "other"
    write_store(PreprocessConfig(**config, tsv=str(tmp_path / "t.tsv"), destdir=str(again)), *specs)
    (tmp_path / "u.tsv").write_text("a b\tx\nb\ty y\nc c b\tz\n")
    write_store(PreprocessConfig(**config, tsv=str(tmp_path / "u.tsv"), destdir=str(other)), *specs)
    assert Store(again).content_hash() == first
    assert Store(other).content_hash() != first


def test_unknown_split(folder):
    with pytest.raises(InputMissingError, match=r"no split 'valid' \(it has: train\)"):
        Store(folder).split("valid")


def test_no_store(tmp_path):
    with pytest.raises(InputMissingError, match="no such folder"):
        Store(tmp_path / "none")
    with pytest.raises(InputMissingError, match="preprocess"):
        Store(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputMissingError):
        Store(tmp_path / "file")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"3", b"null", b"{}", b'{"format": []}']
)
def test_manifests_of_another_kind(folder, text):
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(CheckpointError, match="manifest"):
        Store(folder)


def test_a_checkpoint_is_called_one(folder):
    change_manifest(folder, format="s2st-checkpoint")
    with pytest.raises(CheckpointError, match="this is a checkpoint"):
        Store(folder)


def test_a_store_of_the_future(folder):
    change_manifest(folder, version=9)
    with pytest.raises(CheckpointError, match="version 9; this s2st reads 1 and 2"):
        Store(folder)


@pytest.mark.parametrize("name", ["train.en.ids.npy", "train.fr.offsets.npy"])
@pytest.mark.parametrize("keep", [0, 50, 128, -1, -4, -8])
def test_truncated_arrays(folder, name, keep):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:keep])
    with pytest.raises(CheckpointError) as caught:
        open_all(folder)
    assert caught.value.path is not None


@pytest.mark.parametrize("name", ["train.en.ids.npy", "dict.fr.txt"])
def test_missing_files(folder, name):
    (folder / name).unlink()
    with pytest.raises((CheckpointError, InputMissingError), match=name):
        open_all(folder)


@pytest.mark.parametrize(
    "offsets",
    [
        [0, 3, 2, 6],
        [0, 2, 3],
        [0, 2, 3, 7],
        [1, 2, 3, 6],
        [],
        [6],
        [0, 2, 3, 5, 6],
        [0, 2**63 - 1, -2, 6],  # their differences in 64 bits are all positive
    ],
)
def test_offsets_that_cannot_be(folder, offsets):
    write_array(folder / "train.en.offsets.npy", offsets, np.int64)
    reseal(folder)
    with pytest.raises(CheckpointError):
        open_all(folder)


@pytest.mark.parametrize("bad", [-1, 7, 2**31 - 1])
def test_ids_that_no_word_has(folder, bad):
    ids = np.load(folder / "train.en.ids.npy")
    ids[2] = bad  # the words are 4, 5 and 6; sentence 1 begins at 2
    write_array(folder / "train.en.ids.npy", ids, np.int32)
    with pytest.raises(CheckpointError, match=r"train\.en\.ids.*checksum"):
        Store(folder).verify()
    reseal(folder)
    store = Store(folder)
    corpus = store.split("train")  # opening does not read them
    with pytest.raises(CheckpointError, match=r"train\.en\.ids.*not in the vocabulary"):
        store.verify()
    assert len(load_batch(corpus, [0, 2])) == 2
    with pytest.raises(CheckpointError, match=r"train\.en\.ids.*not in the vocabulary"):
        load_batch(corpus, [2, 1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "en", "../x", "none"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["source", "target", "name", "train", "options"]), inner)
    ),
    max_leaves=5,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    key=st.sampled_from(
        ["files", "splits", "tokenizers", "source_language", "target_language", "version", "format"]
    ),
    value=JSON,
)
def test_any_manifest_opens_or_raises_our_errors(folder, key, value):
    before = (folder / MANIFEST).read_bytes()
    message = ""
    try:
        change_manifest(folder, **{key: value})
        open_all(folder)
    except S2STError as error:
        message = str(error)
    finally:
        (folder / MANIFEST).write_bytes(before)
    assert "\n" not in message


@pytest.fixture
def validated(tmp_path: Path) -> Path:
    """A store whose validation split has odd but valid lines."""
    for split in ("train", "valid"):
        (tmp_path / f"{split}.en").write_text("a b\n\n c\u2028\tc \n", encoding="utf-8")
        (tmp_path / f"{split}.fr").write_text("x\ny y\nz\n", encoding="utf-8")
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    config = PreprocessConfig(
        "en", "fr", trainpref=(str(tmp_path / "train"),), validpref=(str(tmp_path / "valid"),),
        destdir=str(tmp_path / "store"),
    )  # fmt: skip
    return write_store(config, *specs).folder


def test_the_text_of_a_validation_split_is_the_input(validated: Path) -> None:
    store = Store(validated)
    store.verify()
    assert store.text("valid") == (["a b", "", " c\u2028\tc "], ["x", "y y", "z"])
    with pytest.raises(CheckpointError, match="has no text of the split train"):
        store.text("train")


WRONG = ["x\ny y\n", "x\ny y\nz\nz\n", "", "x\n\udcff\nz\n", "x\n" * 99_999]


@pytest.mark.parametrize("text", WRONG)
def test_text_that_does_not_fit_the_pairs_is_damaged(validated: Path, text: str) -> None:
    (validated / "valid.fr.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"valid\.fr\.txt"):
        Store(validated).verify()
    reseal(validated)
    with pytest.raises(S2STError, match=r"valid\.fr\.txt"):
        Store(validated).verify()
