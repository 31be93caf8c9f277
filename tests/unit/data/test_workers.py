"""Tests of tokenizing in chunks: numbering, order, excluded pairs."""

import pytest

from s2st.data.preprocess_workers import CHUNK_PAIRS, Rules, SideTokens, tokenize_pairs
from s2st.text.tokenizers import NoneConfig, TokenizerSpec

SPECS = tuple(TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr"))


def rows(side: SideTokens) -> list[list[str]]:
    """The sentences as words."""
    words = [side.words[place] for place in side.places.tolist()]
    ends = side.lengths.cumsum().tolist()
    assert len(words) == sum(side.lengths.tolist())
    return [words[first:last] for first, last in zip([0, *ends], ends, strict=False)]


def test_a_chunk_by_hand():
    pairs = [("b a b", "x"), ("", "y"), ("c c", "z z z"), ("a", "w x")]
    (kept,) = tokenize_pairs(pairs, *SPECS, workers=1, rules=Rules(max_length=2))
    assert rows(kept.source) == [["a"]]
    assert rows(kept.target) == [["w", "x"]]
    assert (len(kept), kept.empty, kept.long) == (1, 1, 2)
    assert kept.source.words == ["a"]  # words of pairs that are left out are not there
    (every,) = tokenize_pairs(pairs, *SPECS, workers=1)
    assert every.source.words == ["b", "a", "c"]
    assert every.source.places.tolist() == [0, 1, 0, 2, 2, 1]
    assert every.source.lengths.tolist() == [3, 0, 2, 1]
    assert every.target.words == ["x", "y", "z", "w"]
    assert (len(every), every.empty, every.long) == (4, 0, 0)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_many_chunks_come_in_order(workers):
    pairs = [(f"a{i % 7} {i}", f"{-i}") for i in range(2 * CHUNK_PAIRS + 3)]
    chunks = list(tokenize_pairs(pairs, *SPECS, workers))
    assert [len(chunk) for chunk in chunks] == [CHUNK_PAIRS, CHUNK_PAIRS, 3]
    found = [
        (" ".join(source), " ".join(target))
        for chunk in chunks
        for source, target in zip(rows(chunk.source), rows(chunk.target), strict=True)
    ]
    assert found == pairs
