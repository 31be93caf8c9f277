"""Tests of several corpora in one store: their names, and the mixture of an epoch."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig, plan_batches
from s2st.data.corpora import CorpusSet, read_split
from s2st.data.corpus_mixing import MixingConfig, pairs_of_epoch, pairs_per_epoch, shares_of
from s2st.data.corpus_texts import corpus_texts, texts_of_pairs
from s2st.data.parallel_corpus import ParallelCorpus
from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.store import Store
from s2st.errors import CheckpointError, UsageError
from s2st.process.folder_manifest import MANIFEST, read_sealed, seal
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from tests.builders import corpus

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
SHARES = st.floats(0, 1000) | st.just(0.0)
PAIRS = [("a b", "x y"), ("a", "x"), ("b b b", "y"), ("c", "c"), ("a b", "x y"), ("a", "z")]


def write(folder: Path, name: str, pairs: list[tuple[str, str]]) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for side, language in enumerate(("en", "fr")):
        (folder / f"{name}.{language}").write_text("".join(pair[side] + "\n" for pair in pairs))
    return str(folder / name)


def prepare(folder: Path, *prefixes: str, **options: object):
    """Writes the store `folder/store` of en-fr text."""
    values = {"source_lang": "en", "target_lang": "fr", "trainpref": prefixes, **options}
    values.setdefault("destdir", str(folder / "store"))
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    return write_store(PreprocessConfig(**values), *specs)


# names


def names(folder: Path, *values: str) -> list[tuple[str, str]]:
    found = corpus_texts("--trainpref", values, "en", "fr")
    return [(text.name, text.prefix.removeprefix(f"{folder}/")) for text in found]


def test_names_of_corpora(tmp_path):
    assert names(tmp_path, "a/news") == [("news", "a/news")]
    assert names(tmp_path, "a/news,talks") == [("news", "a/news"), ("talks", "talks")]
    assert names(tmp_path, "a/train", "b/train") == [("a", "a/train"), ("b", "b/train")]
    assert names(tmp_path, "big=a/train,b/train") == [("big", "a/train"), ("train", "b/train")]


def test_a_file_whose_name_has_commas_or_equals_signs_is_one_corpus(tmp_path):
    """Such prefixes worked before names existed."""
    for name in ("a,b", "x=y"):
        prefix = write(tmp_path, name, PAIRS)
        assert names(tmp_path, prefix) == [(name, name)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("a,", "x"), "an empty prefix"),
        (("x=",), "an empty prefix"),
        (("x y=a",), "letters, digits"),
        (("n=a", "n=b"), "two corpora have the name 'n'"),
        (("x/a/t", "y/a/t"), "two corpora have the name 'a'"),
    ],
)
def test_corpora_that_cannot_be_named(tmp_path, values, message):
    with pytest.raises(UsageError, match=message):
        names(tmp_path, *values)


def test_texts_of_several_pairs():
    options = {
        "--pair": ("en-fr:a/train", "en-ko:n=b/train,c/train", "en-fr:x/more"),
        "--validpref": ("en-ko:v",),
    }
    first, second = texts_of_pairs({**options, "--testpref": ()})
    assert (first.source, first.target, first.valid, first.test) == ("en", "fr", (), ())
    assert [(t.name, t.prefix) for t in first.train] == [
        ("en-fr.train", "a/train"), ("en-fr.more", "x/more"),
    ]  # fmt: skip
    assert [(t.name, t.target) for t in second.train] == [("n", "ko"), ("en-ko.train", "ko")]
    assert [t.name for t in second.valid] == ["en-ko"]


@pytest.mark.parametrize("value", ["a/train", "en:a", "en-en:a", "en-f/r:a", "-fr:a", "en-fr-ko:a"])
def test_a_value_without_a_pair(value):
    with pytest.raises(UsageError, match="--pair"):
        texts_of_pairs({"--pair": (value,)})


def test_validation_text_of_a_pair_without_training_text():
    with pytest.raises(
        UsageError, match="--validpref: there is no training text of the pair fr-en"
    ):
        texts_of_pairs({"--pair": ("en-fr:a",), "--validpref": ("fr-en:a",)})


# the mixture


@given(SIZES, st.data())
def test_an_epoch_is_as_large_as_the_corpora_and_proportional_to_the_shares(sizes, data):
    shares = data.draw(st.lists(SHARES, min_size=len(sizes), max_size=len(sizes)))
    if not any(shares):
        shares[0] = 1.0
    counts = pairs_per_epoch(sizes, shares)
    assert sum(counts) == sum(sizes)
    total = sum(map(Fraction, shares))
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - Fraction(share) * sum(sizes) / total) < 1


@given(SIZES, st.integers(0, 99), st.integers(1, 12), st.data())
def test_epochs_go_through_every_corpus_in_rounds(sizes, seed, epochs, data):
    """After any number of epochs, the pairs of a corpus were seen equally often, give or take 1."""
    shares = data.draw(st.lists(st.floats(0.1, 9), min_size=len(sizes), max_size=len(sizes)))
    counts = pairs_per_epoch(sizes, shares)
    seen: Counter[int] = Counter()
    for epoch in range(epochs):
        pairs = pairs_of_epoch(sizes, counts, seed, epoch)
        assert pairs.tolist() == pairs_of_epoch(sizes, counts, seed, epoch).tolist()
        seen.update(pairs.tolist())
    start = 0
    for size, count in zip(sizes, counts, strict=True):
        times = [seen[pair] for pair in range(start, start + size)]
        assert sum(times) == epochs * count
        assert max(times) - min(times) <= 1
        start += size
    assert sum(seen.values()) == epochs * sum(sizes)


def test_another_seed_and_another_epoch_draw_other_pairs():
    draws = [
        pairs_of_epoch([1000, 1000], [500, 1500], seed, epoch).tolist()
        for seed, epoch in ((1, 0), (2, 0), (1, 1))
    ]
    assert draws[0] != draws[1]
    assert not {p for p in draws[0] if p < 1000} & {p for p in draws[2] if p < 1000}  # one round


def shares(sizes: dict[str, int], *weights: str, temperature: float | None = None):
    return shares_of(MixingConfig(weights, temperature), list(sizes.items()))


def test_shares_by_hand():
    sizes = {"a": 100, "b": 10_000}
    assert shares(sizes) is None
    assert shares(sizes, "b=1", "a=3") == [3, 1]
    cold, even = (shares(sizes, temperature=t) for t in (2.0, 1e6))
    assert cold[0] / cold[1] == pytest.approx(0.1)  # the square root of 1 / 100
    assert even[0] / even[1] == pytest.approx(1, abs=1e-5)
    assert pairs_per_epoch([100, 10_000], shares(sizes, temperature=1.0)) == [100, 10_000]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["a"], "expected NAME=W"),
        (["a=x"], "expected NAME=W"),
        (["a=-1"], "expected NAME=W"),
        (["a=nan"], "expected NAME=W"),
        (["a=1"], "give a weight for b, too"),
        (["c=1"], "no such corpus; the store has a, b"),
        (["a=1", "a=2"], "two weights for a"),
        (["a=0", "b=0"], "above 0"),
    ],
)
def test_weights_that_do_not_fit(weights, message):
    with pytest.raises(UsageError, match=message):
        shares({"a": 1, "b": 2}, *weights)


def test_weight_and_temperature_exclude_each_other():
    with pytest.raises(UsageError, match="not both"):
        shares({"a": 1}, "a=1", temperature=2.0)


LENGTHS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40)
BATCHING = st.builds(
    BatchingConfig,
    batch_size=st.integers(1, 8),
    max_tokens=st.none() | st.integers(1, 60),
    batching=st.sampled_from(["bucketed", "random"]),
)


@given(LENGTHS, BATCHING, st.integers(1, 4), st.integers(0, 9), st.data())
def test_plans_hold_the_chosen_pairs_and_no_batch_has_two_parts(pairs, config, group, seed, data):
    source, target = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    chosen = np.sort(data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=60)))
    cuts = data.draw(st.sets(st.integers(1, len(pairs) - 1), max_size=3)) if len(pairs) > 1 else []
    starts = np.array([0, *sorted(cuts)])
    batches = plan_batches(source, target, config, seed, 0, group, chosen, starts)
    assert sorted(int(i) for batch in batches for i in batch) == chosen.tolist()
    for batch in batches:
        assert len({int(np.searchsorted(starts, i, side="right")) for i in batch}) == 1


@given(LENGTHS, BATCHING, st.integers(1, 4), st.integers(0, 9))
def test_all_pairs_of_one_part_are_the_plan_of_every_version(pairs, config, group, seed):
    source, target = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    plain = plan_batches(source, target, config, seed, 3, group)
    same = plan_batches(
        source, target, config, seed, 3, group, np.arange(len(pairs)), np.array([0])
    )
    assert [batch.tolist() for batch in same] == [batch.tolist() for batch in plain]


def full_groups(batches: list[np.ndarray], starts: np.ndarray, size: int) -> list[set[int]]:
    parts = [int(np.searchsorted(starts, batch[0], side="right")) for batch in batches]
    return [set(parts[i : i + size]) for i in range(0, len(parts) - size + 1, size)]


def test_the_batches_of_an_update_are_of_one_part():
    """Whole updates come first; batches that do not fill one are last, as with one part."""
    lengths = np.random.default_rng(1).integers(1, 30, 300)
    starts = np.array([0, 90, 200])
    batches = plan_batches(lengths, lengths, BatchingConfig(4), 1, 0, 3, None, starts)
    groups = full_groups(batches, starts, 3)
    assert all(len(group) == 1 for group in groups[: len(groups) - 3])
    order = [group.pop() for group in groups[: len(groups) - 3]]
    assert order != sorted(order)  # the parts alternate


def test_a_loader_reads_each_part_from_its_own_corpus():
    first = corpus([[4, 5], [6]], [[7], [8]])
    second = ParallelCorpus(*vars(corpus([[9], [10], [11]], [[4], [5], [6]])).values())
    data = CorpusSet((first, second), (("a", 2), ("b", 3)), counts=(3, 2))
    loader = TrainingLoader(data, BatchingConfig(batch_size=2), seed=1)
    words = {0: [4, 5], 1: [6], 2: [9], 3: [10], 4: [11]}
    for batch in map(loader.load, loader.plan(0)):
        for row, number in enumerate(batch.source.line_ids):
            length = int(batch.source.lengths[row]) - 1
            assert batch.source.tokens[row, :length].tolist() == words[number]


# the store


def test_a_store_names_its_corpora(tmp_path):
    a, b = write(tmp_path, "a", PAIRS), write(tmp_path, "b", PAIRS[:2])
    report = prepare(tmp_path, f"{a},second={b}", validpref=(f"{a},{b}",))
    store = Store(tmp_path / "store")
    assert store.corpora("train") == [("a", 6), ("second", 2)]
    assert [store.corpora(split) for split in ("valid", "valid1")] == [[("a", 6)], [("b", 2)]]
    assert [c.pairs for c in report.splits[0].corpora] == [6, 2]
    assert read_split(store, "train").sizes == (("a", 6), ("second", 2))
    held_out = read_split(store, "valid")
    assert [name for name, _ in held_out.named_parts()] == ["a", "b"]


def test_two_corpora_are_the_concatenated_text(tmp_path):
    a, b = write(tmp_path, "a", PAIRS[:4]), write(tmp_path, "b", PAIRS[4:])
    both = write(tmp_path, "both", PAIRS)
    prepare(tmp_path, a, b)
    prepare(tmp_path, both, destdir=str(tmp_path / "one"))
    for name in ("dict.en.txt", "dict.fr.txt", "train.en.ids.npy", "train.fr.offsets.npy"):
        assert (tmp_path / "store" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def change(folder: Path, edit) -> None:
    manifest = read_sealed(folder)
    del manifest["manifest_sha256"]
    edit(manifest)
    (folder / MANIFEST).write_bytes(seal(manifest))


def test_a_store_of_an_earlier_version(tmp_path):
    """It names no corpora, and training used only the first validation split."""
    a = write(tmp_path, "a", PAIRS)
    prepare(tmp_path, a, validpref=(a, f"v={a}"))

    def strip(manifest):
        for record in manifest["splits"].values():
            for name in ("corpora", "source_language", "target_language", "skipped_ratio"):
                del record[name]

    before = Store(tmp_path / "store").content_hash()
    change(tmp_path / "store", strip)
    store = Store(tmp_path / "store")
    assert read_split(store, "train").sizes == (("train", 6),)
    assert read_split(store, "valid").sizes == (("valid", 6),)
    assert read_split(store, "test") is None
    assert store.content_hash() == before  # a run on one corpus resumes


def test_the_hash_of_a_store_covers_the_corpora(tmp_path):
    a, b = write(tmp_path, "a", PAIRS[:4]), write(tmp_path, "b", PAIRS[4:])
    hashes = set()
    for number, prefixes in enumerate(((a, b), (f"x={a}", b), (write(tmp_path, "c", PAIRS),))):
        prepare(tmp_path, *prefixes, destdir=str(tmp_path / str(number)))
        hashes.add(Store(tmp_path / str(number)).content_hash())
    assert len(hashes) == 3


@pytest.mark.parametrize(
    "corpora", [3, [{}], [{"name": "a", "pairs": 5}], [{"name": "a/b", "pairs": 6}], [[]], [None]]
)
def test_damaged_corpora(tmp_path, corpora):
    prepare(tmp_path, write(tmp_path, "a", PAIRS))
    change(tmp_path / "store", lambda m: m["splits"]["train"].update(corpora=corpora))
    with pytest.raises(CheckpointError, match="no valid corpora"):
        Store(tmp_path / "store").split("train")
