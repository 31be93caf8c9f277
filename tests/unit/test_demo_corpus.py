"""Tests of the corpus that `s2st demo` reads from the package."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

import s2st.demo_corpus
from s2st.demo_corpus import DemoCorpus, read_corpus
from s2st.options.option_fields import read_toml


def test_all_sentences_are_distinct_and_in_one_split() -> None:
    corpus = read_corpus()
    assert tuple(map(len, (corpus.train, corpus.valid, corpus.test))) == (20000, 500, 500)
    pairs = corpus.test + corpus.valid + corpus.train
    assert len({pair.source for pair in pairs}) == 21000


def test_a_sentence_that_can_be_checked_by_hand() -> None:
    """The two files agree line by line: pairs with one known word have its translation."""
    pairs = read_corpus().train
    found = [pair for pair in pairs if "bridge" in pair.source.split()]
    assert found
    assert all("pont" in pair.target.split() for pair in found)


def test_smaller_sets_are_the_beginnings_of_larger_ones() -> None:
    small, large = read_corpus(50, 20, 20), read_corpus(400, 20, 20)
    assert (small.test, small.valid, small.train) == (large.test, large.valid, large.train[:50])
    assert read_corpus(0, 0, 0) == DemoCorpus((), (), ())


@pytest.mark.parametrize(
    ("sizes", "message"), [((-1, 1, 1), "negative: -1"), ((20000, 501, 500), "not 21,001")]
)
def test_impossible_sizes(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_corpus(*sizes)


def test_a_wheel_holds_the_corpus() -> None:
    folder = Path(s2st.demo_corpus.__file__).parent
    project = read_toml(folder.parents[1] / "pyproject.toml")
    patterns = project["tool"]["setuptools"]["package-data"]["s2st"]
    data = [path for path in folder.iterdir() if path.suffix not in (".py", "")]
    assert len(data) == 2
    for path in data:
        name = path.relative_to(folder.parent).as_posix()
        assert any(fnmatch(name, pattern) for pattern in patterns), name
