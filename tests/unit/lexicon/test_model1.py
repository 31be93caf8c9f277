"""IBM model 1: against probabilities computed by hand, and against loops over dictionaries."""

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from builders import corpus

from s2st.errors import DataError, InputMissingError
from s2st.lexicon import model1
from s2st.lexicon.lexicon_files import lexicon_lines, read_lexicon
from s2st.lexicon.model1 import EMPTY_WORD, LONGEST, train_model1
from s2st.text.vocabulary import UNK_ID, Vocabulary

SOURCE = Vocabulary(["das", "haus", "buch", "ein"], [4, 3, 2, 1])
TARGET = Vocabulary(["the", "house", "book", "a"], [4, 3, 2, 1])


def trained(folder, sources, targets, iterations, words=(8, 8), memory=1 << 20):
    folder.mkdir(exist_ok=True)
    return train_model1([corpus(sources, targets)], words, iterations, folder, memory)


def table(result):
    keys = [divmod(int(key), result.target_words) for key in result.keys]
    return dict(zip(keys, result.probabilities.tolist(), strict=True))


def by_loops(pairs, iterations, targets):
    """{(s, t): p(t | s)} and the perplexities, by the definition."""
    chance = defaultdict(lambda: Fraction(1, targets))
    perplexities = []
    for _ in range(iterations):
        counts, totals = defaultdict(Fraction), defaultdict(Fraction)
        log_prob, words = 0.0, 0
        for source, target in pairs:
            for t in target:
                seen = [EMPTY_WORD, *source]
                total = sum(chance[s, t] for s in seen)
                log_prob += math.log(total / len(seen))
                words += 1
                for s in seen:
                    counts[s, t] += chance[s, t] / total
                    totals[s] += chance[s, t] / total
        perplexities.append(math.exp(-log_prob / words))
        chance = {(s, t): count / totals[s] for (s, t), count in counts.items()}
    return chance, perplexities


def test_one_iteration_by_hand(tmp_path):
    """das haus - the house; das buch - the book. Each target word has three sources, 1/3 each.

    Expected counts: (das, the) 2/3, (das, house) 1/3, (das, book) 1/3; (haus, the) 1/3, (haus,
    house) 1/3.
    """
    das, haus, buch = (SOURCE.id(word) for word in ("das", "haus", "buch"))
    the, house, book = (TARGET.id(word) for word in ("the", "house", "book"))
    result = trained(tmp_path / "x", [[das, haus], [das, buch]], [[the, house], [the, book]], 1)
    assert result.perplexities == pytest.approx([8.0])
    expected = {
        (EMPTY_WORD, the): 1 / 2, (EMPTY_WORD, house): 1 / 4, (EMPTY_WORD, book): 1 / 4,
        (das, the): 1 / 2, (das, house): 1 / 4, (das, book): 1 / 4,
        (haus, the): 1 / 2, (haus, house): 1 / 2, (buch, the): 1 / 2, (buch, book): 1 / 2,
    }  # fmt: skip
    assert table(result) == pytest.approx(expected)


@pytest.mark.parametrize("cells", [3, 11, 10_000])
def test_equals_loops_over_dictionaries(tmp_path, monkeypatch, cells):
    """Words that occur twice, empty sides and unknown words included, in blocks of any size."""
    draw = np.random.default_rng(cells)
    pairs = [
        (draw.integers(3, 9, draw.integers(0, 5)).tolist(),
         draw.integers(3, 7, draw.integers(0, 5)).tolist())
        for _ in range(30)
    ]  # fmt: skip
    pairs.append(([4, 4, 5], [5, 5]))
    monkeypatch.setattr(model1, "LONGEST", 4 if cells > 3 else 1)
    monkeypatch.setattr(model1, "CELL_BYTES", 1)
    kept = [(s, t) for s, t in pairs if max(len(s), len(t)) <= model1.LONGEST]
    sources, targets = zip(*pairs, strict=True)
    result = trained(tmp_path / "x", sources, targets, 3, (9, 7), cells)
    chance, perplexities = by_loops(kept, 3, 7)
    assert result.perplexities == pytest.approx(perplexities)
    assert result.skipped == len(pairs) - len(kept)
    found = table(result)
    assert set(found) == set(chance)
    assert found == pytest.approx({key: float(value) for key, value in chance.items()})


def test_probabilities_of_a_word_sum_to_one_and_the_text_becomes_more_probable(tmp_path):
    draw = np.random.default_rng(0)
    sources = [draw.integers(3, 30, 6).tolist() for _ in range(200)]
    targets = [[3 + (word * 7) % 29 for word in reversed(row)] for row in sources]
    result = trained(tmp_path / "x", sources, targets, 6, (30, 32))
    sums = np.zeros(30)
    np.add.at(sums, result.keys // 32, result.probabilities)
    assert sums[sums > 0] == pytest.approx(1)
    assert list(result.perplexities) == sorted(result.perplexities, reverse=True)
    found = table(result)
    best = {s: max((p, t) for (x, t), p in found.items() if x == s)[1] for s in range(3, 30)}
    assert best == {s: 3 + (s * 7) % 29 for s in range(3, 30)}  # the word-for-word translation


def test_several_corpora_count_together(tmp_path):
    one, two = corpus([[4, 5]], [[4, 5]]), corpus([[5, 6]], [[5, 6]])
    (tmp_path / "a").mkdir()
    parts = train_model1([one, two], (8, 8), 4, tmp_path / "a", 1 << 20)
    whole = trained(tmp_path / "b", [[4, 5], [5, 6]], [[4, 5], [5, 6]], 4)
    assert table(parts) == pytest.approx(table(whole))


def test_very_long_pairs_are_left_out(tmp_path):
    result = trained(tmp_path / "x", [[4] * (LONGEST + 1), [5]], [[4], [5]], 1)
    assert result.skipped == 1
    assert {s for s, _ in table(result)} == {EMPTY_WORD, 5}


def test_file_has_the_best_translations_first_and_no_empty_word(tmp_path, monkeypatch):
    monkeypatch.setattr("s2st.lexicon.lexicon_files.KEYS", 2)  # in several pieces
    rows = [[4, 5], [4, 6], [7, UNK_ID]]
    result = trained(tmp_path / "x", rows, rows, 5)
    pieces = list(lexicon_lines(result, SOURCE, TARGET, 0.01))
    assert len(pieces) > 1
    lines = [line.split("\t") for line in "".join(pieces).splitlines()]
    assert {source for source, _, _ in lines} == {"das", "haus", "buch", "ein", "<unk>"}
    expected = {
        (SOURCE.tokens[s], TARGET.tokens[t]): p
        for (s, t), p in table(result).items()
        if s != EMPTY_WORD and p >= 0.01
    }
    assert {(s, t): float(p) for s, t, p in lines} == pytest.approx(expected, rel=1e-5)
    for word in ("das", "haus", "buch"):
        values = [float(p) for source, _, p in lines if source == word]
        assert values == sorted(values, reverse=True)


def test_all_formats_read_alike(tmp_path):
    rows = [("das", "the", 0.5), ("das", "house", 0.25), ("haus", "house", 1.0)]
    ours = "".join(f"{s}\t{t}\t{p}\n" for s, t, p in rows)
    moses = "".join(f"{t} {s} {p}\n" for s, t, p in reversed(rows)) + "the NULL 0.3\n"
    fast_align = "".join(f"{s}\t{t}\t{math.log(p)}\n" for s, t, p in rows) + "das\tzzz\t-1\n"
    read = []
    for text in (ours, moses, fast_align):
        path = tmp_path / "lex"
        path.write_text(text)
        read.append(read_lexicon(str(path), SOURCE, TARGET))
    for found in read:
        assert found.source.tolist() == [4, 4, 5]
        assert found.target.tolist() == [4, 5, 5]
    assert read[1].values.tolist() == read[0].values.tolist() == [0.5, 0.25, 1.0]
    assert np.exp(read[2].values) == pytest.approx(read[0].values)
    assert [found.lines for found in read] == [3, 4, 4]


@pytest.mark.parametrize(
    ("text", "parts"),
    [("das the\n", ("line 1", "source TAB target")), ("das\tthe\t0.5\na b c d\n", ("line 2",)),
     ("das\tthe\tx\n", ("line 1", "'x'")), ("das\tthe\tnan\n", ("line 1",)),
     ("das\tthe\t1.5\n", ("line 1", "1.5")), ("the\tdas\t0.5\n", ("none of its word pairs",)),
     ("", ("none of its word pairs",))],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_one_line(tmp_path, text, parts):
    path = tmp_path / "lex"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_lexicon(str(path), SOURCE, TARGET)
    for part in (str(path), *parts):
        assert part in str(caught.value)
    with pytest.raises(InputMissingError):
        read_lexicon(str(tmp_path / "none"), SOURCE, TARGET)
