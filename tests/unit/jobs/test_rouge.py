"""ROUGE against the package's own tokenizer and against counts by hand."""

import pytest

from s2st.errors import UsageError

pytest.importorskip("rouge_score")
from rouge_score import rouge_scorer

from s2st.jobs import rouge as own
from s2st.jobs.rouge import rouge

TEXTS = [
    "The cat sat on the mat .", "A dog, a cat and 3 mice!", "", "the mat",
    "Police killed the gunman",
]  # fmt: skip
REFERENCES = [
    "the cat is on the mat", "3 mice, a dog", "something", "", "police kill the gunman today",
]  # fmt: skip


def test_ascii_text_has_the_scores_of_the_package():
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = {one.name: one.score for one in rouge("x", TEXTS, [REFERENCES])}
    for name, key in own.KINDS.items():
        values = [
            scorer.score(reference, text)[key].fmeasure
            for text, reference in zip(TEXTS, REFERENCES, strict=True)
        ]
        assert found[name] == pytest.approx(100 * sum(values) / len(values))


def test_other_scripts_count_too():
    """3 of 4 words and 1 of 3 pairs are common; the longest common subsequence has 3 words."""
    found = rouge("x", ["고양이가 매트 위에 앉았다"], [["고양이가 매트 옆에 앉았다"]])
    assert [one.score for one in found] == pytest.approx([75, 100 / 3, 75])


def test_the_best_reference_of_a_line_counts():
    found = rouge("x", ["a b", "c d"], [["a b", "x y"], ["z", "c d"]])
    assert [one.score for one in found] == pytest.approx([100, 100, 100])


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(UsageError, match=r"--rouge needs rouge-score.*s2st\[rouge\]"):
        rouge("x", ["a"], [["a"]])
