"""Comparison of two systems sentence by sentence: better and worse sentences, differing words."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from s2st.analysis.bleu_measure import Measure
from s2st.errors import DataError


@dataclass(frozen=True)
class Change:
    """One sentence, translated by systems A and B.

    Attributes:
        line: line number, from 1.
        source: the source line, None if not given.
        references: the references.
        a, b: the translations.
        a_bleu, b_bleu: sentence BLEU in percent, see s2st.analysis.bleu_measure.
    """

    line: int
    source: str | None
    references: tuple[str, ...]
    a: str
    b: str
    a_bleu: float
    b_bleu: float

    @property
    def gain(self) -> float:
        """Sentence BLEU of B minus that of A."""
        return self.b_bleu - self.a_bleu


@dataclass(frozen=True)
class Changes:
    """All sentences, translated by systems A and B.

    Attributes:
        better, worse: sentences with a higher or lower sentence BLEU in B, largest change first.
        same_bleu: number of sentences with equal sentence BLEU.
        same_text: number of those with equal translations.
    """

    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    same_bleu: int
    same_text: int


def sentence_changes(
    a: Sequence[str],
    b: Sequence[str],
    references: Sequence[Sequence[str]],
    source: Sequence[str] | None = None,
    tokenize: str | None = None,
) -> Changes:
    """Compare two systems sentence by sentence.

    Args:
        a, b: lines of the systems.
        references: one sequence of lines per reference set.
        source: source lines, to show with the sentences.
        tokenize: sacreBLEU's tokenizer; None does not tokenize.

    Raises:
        DataError: numbers of lines differ, or there is no reference.
        UsageError: the tokenizer is unknown.
    """
    if not references:
        raise DataError("no reference: give at least one")
    if (
        len({len(lines) for lines in (a, b, *references, *([] if source is None else [source]))})
        > 1
    ):
        raise DataError("systems, references and source must have equal numbers of lines")
    measure = Measure(tokenize)
    scores = [measure.sentences(rows) for rows in measure.statistics([a, b], references)]
    changes = [
        Change(
            number + 1,
            None if source is None else source[number],
            tuple(lines[number] for lines in references),
            a[number], b[number], float(scores[0][number]), float(scores[1][number]),
        )
        for number in range(len(a))
    ]  # fmt: skip
    same = [change for change in changes if change.gain == 0]
    # `sorted` is stable: equal gains keep the order of the lines
    return Changes(
        better=tuple(sorted((c for c in changes if c.gain > 0), key=lambda c: -c.gain)),
        worse=tuple(sorted((c for c in changes if c.gain < 0), key=lambda c: c.gain)),
        same_bleu=len(same),
        same_text=sum(change.a == change.b for change in same),
    )


def differing_words(a: Sequence[str], b: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Return for each word of two translations whether it differs from the other translation."""
    marks = [True] * len(a), [True] * len(b)
    for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        marks[0][block.a : block.a + block.size] = [False] * block.size
        marks[1][block.b : block.b + block.size] = [False] * block.size
    return marks
