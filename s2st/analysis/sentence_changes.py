"""The room where two systems lie side by side: which sentences got better, and in which words."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from s2st.analysis.sentence_bleu import Measure
from s2st.errors import DataError


@dataclass(frozen=True)
class Change:
    """One sentence in two systems.

    Attributes:
        line: its number, from 1.
        source: None if not given.
        references: its references.
        a, b: the translations.
        a_bleu, b_bleu: their sentence BLEU in percent, see s2st.analysis.sentence_bleu.
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
        """Sentence BLEU of B less that of A."""
        return self.b_bleu - self.a_bleu


@dataclass(frozen=True)
class Changes:
    """All sentences in two systems.

    Attributes:
        better, worse: those whose sentence BLEU is higher, lower in B, the most changed first.
        same_bleu: how many have the same.
        same_text: how many of those are the same text.
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
    """Compares two systems sentence by sentence.

    Args:
        a, b: their lines.
        references: one sequence of lines per reference set.
        source: the source lines, to be shown.
        tokenize: sacreBLEU's tokenizer; None takes tokens as they stand.

    Raises:
        DataError: numbers of lines that differ, or no reference.
        UsageError: an unknown tokenizer.
    """
    if not references:
        raise DataError("no reference is given")
    if (
        len({len(lines) for lines in (a, b, *references, *([] if source is None else [source]))})
        > 1
    ):
        raise DataError("the systems, references and source need equal numbers of lines")
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
    # `sorted` keeps the order of lines among equals
    return Changes(
        better=tuple(sorted((c for c in changes if c.gain > 0), key=lambda c: -c.gain)),
        worse=tuple(sorted((c for c in changes if c.gain < 0), key=lambda c: c.gain)),
        same_bleu=len(same),
        same_text=sum(change.a == change.b for change in same),
    )


def differing_words(a: Sequence[str], b: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """For each word of two translations, whether it is not part of what they have in common."""
    marks = [True] * len(a), [True] * len(b)
    for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        marks[0][block.a : block.a + block.size] = [False] * block.size
        marks[1][block.b : block.b + block.size] = [False] * block.size
    return marks
