"""Tests of the pairs that the demo grammar draws, and of the command that writes them."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from demo_corpus.grammar import MAX_PAIRS, draw_pairs

from s2st.demo_corpus import Pair, read_corpus

RUN = Path(__file__).parents[2] / "examples" / "demo_corpus" / "run.py"

# Words of the French side of the corpus that start with a vowel sound, told apart from the
# aspirate ones by a French dictionary, not by the module under test.
ASPIRATE = {"haches", "hache", "haricot", "haricots", "hibou", "hiboux", "hérisson", "hérissons"}
ASPIRATE |= {"haut", "haute", "hauts", "hautes", "huit", "onze"}


@pytest.fixture(scope="module")
def pairs() -> tuple[Pair, ...]:
    return draw_pairs(12500, seed=3)


def test_as_many_distinct_sentences_as_asked_for(pairs: tuple[Pair, ...]) -> None:
    assert len(pairs) == len({pair.source for pair in pairs}) == 12500


def test_sentences_are_plain_tokens_of_a_modest_length(pairs: tuple[Pair, ...]) -> None:
    token = re.compile(r"[a-zàâçèéêëîïôûùœ-]+'?|'s?|,|aujourd'hui")
    for pair in pairs:
        for side in (pair.source, pair.target):
            words = side.split(" ")
            assert words[-1] == "."
            assert 4 <= len(words) <= 22
            assert all(token.fullmatch(word) for word in words[:-1]), side


def test_elision_is_made_exactly_before_a_vowel(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        words = pair.target.split()
        for word, following in pairwise(words):
            vowel = following[0] in "aeiouyhàâéèêîôœ" and following not in ASPIRATE
            if word in ("le", "la", "de", "ne", "je", "me", "se", "que", "ce", "ma", "sa"):
                assert not vowel, pair
            if word in ("l'", "d'", "n'", "j'", "m'", "qu'", "cet"):
                assert vowel, pair
            if word == "s'":
                assert vowel or following == "il", pair
            assert (word, following) not in {("si", "il"), ("si", "ils")}, pair


def test_prepositions_contract_with_articles(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        text = f" {pair.target} "
        for preposition in ("près de", "loin de", "côté de", "beaucoup de"):
            assert f" {preposition} les " not in text, pair
            assert f" {preposition} le " not in text, pair
            assert f" {preposition} des " not in text, pair
        assert " à le " not in text, pair
        assert " à les " not in text, pair


def test_english_articles_and_agreement(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        assert not re.search(r"\ba [aeio]", pair.source), pair
        assert not re.search(r"\ban [^aeiou]", pair.source), pair
        assert not re.search(r"\b(he|she|it) (are|have|do|were|am)\b", pair.source), pair
        assert not re.search(r"\b(we|they) (is|has|does|was|am)\b", pair.source), pair


def test_french_negation_has_both_halves(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        halves = sum(word in ("ne", "n'") for word in pair.target.split())
        negatives = re.findall(r"\b(?:not|cannot|never|no)\b", pair.source)
        assert halves == len(negatives), pair


def test_a_source_has_one_target_across_seeds(pairs: tuple[Pair, ...]) -> None:
    targets = {pair.source: pair.target for pair in pairs}
    other = draw_pairs(12000, seed=4)
    shared = [pair for pair in other if pair.source in targets]
    assert shared
    assert [pair for pair in shared if targets[pair.source] != pair.target] == []


def test_same_seed_same_pairs_and_another_seed_others() -> None:
    one = draw_pairs(340, seed=5)
    assert one == draw_pairs(340, seed=5)
    assert one != draw_pairs(340, seed=6)


def test_a_larger_count_appends_pairs() -> None:
    assert draw_pairs(400, seed=1)[:50] == draw_pairs(50, seed=1)
    assert draw_pairs(0, seed=1) == ()


@pytest.mark.parametrize("count", [-1, MAX_PAIRS + 1])
def test_impossible_counts(count: int) -> None:
    with pytest.raises(ValueError, match=f"0 to {MAX_PAIRS:,} pairs"):
        draw_pairs(count, seed=1)


def test_the_grammar_gives_exactly_the_pairs_that_s2st_ships() -> None:
    corpus = read_corpus()
    assert tuple(map(len, (corpus.train, corpus.valid, corpus.test))) == (20000, 500, 500)
    assert draw_pairs(21000, seed=1) == corpus.test + corpus.valid + corpus.train
    with pytest.raises(ValueError, match="has 21,000 pairs"):
        read_corpus(20001)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_writes_a_corpus_of_another_size(tmp_path: Path) -> None:
    done = run("--output", tmp_path / "more", "--pairs", 60, "--seed", 7)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    pairs = draw_pairs(60, seed=7)
    english_text, french_text = ((tmp_path / f"more.{x}").read_text("utf-8") for x in ("en", "fr"))
    assert english_text.splitlines() == [pair.source for pair in pairs]
    assert french_text.splitlines() == [pair.target for pair in pairs]


@pytest.mark.parametrize("wrong", [["--pairs", 60], ["--output", "x", "--pairs", -1]])
def test_the_command_refuses(wrong: list[object], tmp_path: Path) -> None:
    done = run(*wrong)
    assert done.returncode == 2
    assert "--pairs" in done.stderr
    assert "Traceback" not in done.stderr
