"""Tests of cleaning: which pairs of which corpus a store keeps."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_corpora import prepare, write

from s2st.data.duplicate_filter import SeenHashes
from s2st.data.store import Store
from s2st.errors import DataError

WORDS = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12),
    st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6),
    st.none() | st.floats(1, 4),
    st.booleans(),
    st.booleans(),
)
def test_cleaning_agrees_with_a_plain_loop(first, second, ratio, copies, duplicates):
    options = {"max_length": 4, "max_ratio": ratio, "drop_copies": copies}
    seen: set[tuple[str, str]] = set()
    kept, counts = [], []
    for pairs in (first, second):
        corpus: Counter[str] = Counter()
        for source, target in pairs:
            sizes = len(source.split()), len(target.split())
            if not all(sizes):
                corpus["skipped_empty"] += 1
            elif max(sizes) > 4:
                corpus["skipped_long"] += 1
            elif ratio is not None and max(sizes) / min(sizes) > ratio:
                corpus["skipped_ratio"] += 1
            elif copies and source == target:
                corpus["skipped_copies"] += 1
            elif duplicates and (source, target) in seen:
                corpus["skipped_duplicates"] += 1
            else:
                corpus["pairs"] += 1
                kept.append((source, target))
                seen.add((source, target))
        counts.append(corpus)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefixes = [write(folder, "a", first), write(folder, "b", second)]
        if not all(corpus["pairs"] for corpus in counts):
            with pytest.raises(DataError, match="no usable training pairs"):
                prepare(folder, *prefixes, **options, drop_duplicates=duplicates)
            return
        report = prepare(folder, *prefixes, **options, drop_duplicates=duplicates).splits[0]
        for found, expected in zip(report.corpora, counts, strict=True):
            fields = {n: v for n, v in vars(found).items() if n != "name" and v}
            assert fields == dict(expected)
        store = Store(folder / "store")
        split = store.split("train")
        texts = [
            (
                " ".join(store.source_vocabulary.decode(split.source[i])),
                " ".join(store.target_vocabulary.decode(split.target[i])),
            )
            for i in range(len(split))
        ]
        assert texts == kept
        words = Counter(word for source, _ in kept for word in source.split())
        vocabulary = store.source_vocabulary
        assert dict(zip(vocabulary.tokens[4:], vocabulary.counts[4:], strict=True)) == words


@pytest.mark.slow
def test_cleaning_does_not_depend_on_the_workers(tmp_path):
    pairs = [(f"a b{i % 71} c", f"x{i % 50} y") for i in range(9000)]
    prefixes = write(tmp_path, "a", pairs), write(tmp_path, "b", [*pairs[:30], ("q", "q q")])
    for workers in (1, 3):
        prepare(
            tmp_path, *prefixes, workers=workers, drop_duplicates=True, max_ratio=2.0,
            destdir=str(tmp_path / f"w{workers}"),
        )  # fmt: skip
    assert Store(tmp_path / "w1").corpora("train") == [("a", 71 * 50), ("b", 1)]
    for path in sorted((tmp_path / "w1").iterdir()):
        assert path.read_bytes() == (tmp_path / "w3" / path.name).read_bytes(), path.name


@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=30), max_size=12))
def test_seen_hashes_agree_with_a_set(chunks):
    seen, known = SeenHashes(), set()
    for chunk in chunks:
        expected = []
        for value in chunk:
            expected.append(value not in known)
            known.add(value)
        assert seen.add(np.array(chunk, dtype=np.uint64)).tolist() == expected
        assert len(seen) == len(known)
