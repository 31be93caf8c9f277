"""The job of `s2st compare`: two systems as a whole and sentence by sentence, as report lines.

Importable without sacreBLEU, so that wrong options are reported at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from s2st.analysis.options import CompareConfig
from s2st.analysis.system_texts import Texts, read_texts
from s2st.jobs.report_types import ReportLine
from s2st.text.line_files import split_words

if TYPE_CHECKING:
    from s2st.analysis.sentence_changes import Change, Changes
    from s2st.jobs.paired_comparison import PairedResult


@dataclass(frozen=True)
class NamedWords:
    """A sentence under its name.

    Attributes:
        name: such as "source", "reference", "A" or "B".
        words: of the sentence.
        marks: for each word of A or B, whether the two differ there; None for other sentences.
    """

    name: str
    words: Sequence[str]
    marks: Sequence[bool] | None = None


def compare(config: CompareConfig, a: str, b: str) -> Iterator[ReportLine | NamedWords]:
    """Compares system B with system A.

    Args:
        config: references, metric and output.
        a, b: FILE or label=FILE of each system.

    Yields:
        Records where `config.format` is "json". Otherwise lines of text, and for each sentence
        shown, its texts as NamedWords.

    Raises:
        UsageError, InputMissingError, DataError: as `read_texts`, and for an unknown tokenizer.
    """
    texts = read_texts([a, b], config.ref, config.source)
    from s2st.analysis.sentence_changes import sentence_changes
    from s2st.jobs.paired_comparison import compare_systems

    results = compare_systems(
        texts.systems, texts.references, samples=config.samples, tokenize=config.tokenize
    )
    (_, first), (_, second) = texts.systems
    changes = sentence_changes(first, second, texts.references, texts.source, config.tokenize)
    if config.format == "json":
        yield from _records(texts, results, changes, config.count)
    else:
        yield from _summary(texts, results, changes)
        yield from _sentences(changes, config.count)


def _records(
    texts: Texts, results: Sequence["PairedResult"], changes: "Changes", count: int
) -> Iterator[ReportLine]:
    """The results of the bootstrap, then the counts, then the most changed sentences."""
    from s2st.analysis.bleu_measure import SENTENCE_BLEU

    for result in results:
        yield {"baseline": texts.systems[0][0], **asdict(result)}
    yield {
        "sentences": len(texts.references[0]), "better": len(changes.better),
        "worse": len(changes.worse), "same_bleu": changes.same_bleu,
        "same_text": changes.same_text, "metric": SENTENCE_BLEU,
    }  # fmt: skip
    for kind, chosen in (("better", changes.better), ("worse", changes.worse)):
        for change in chosen[:count]:
            yield {"change": kind, **asdict(change)}


def _summary(
    texts: Texts, results: Sequence["PairedResult"], changes: "Changes"
) -> Iterator[ReportLine]:
    """The results of the bootstrap and the counts, as text."""
    from s2st.analysis.bleu_measure import SENTENCE_BLEU

    (a, lines), (b, _) = texts.systems
    yield f"A = {a}, B = {b}; {len(lines):,} sentences"
    yield "paired bootstrap of B against A (95%: mean +- half the interval's width)"
    for result in results:
        name = "A" if result.p_value is None else "B"
        yield f"  {name}  {result.metric} {result.figures()}"
    for how in dict.fromkeys(f"{one.metric} ({one.how})" for one in results):
        yield f"  {how}"
    yield SENTENCE_BLEU
    yield f"  better in B  {len(changes.better):,}"
    yield f"  worse in B   {len(changes.worse):,}"
    yield f"  as good      {changes.same_bleu:,}, of them {changes.same_text:,} the same text"


def _sentences(changes: "Changes", count: int) -> Iterator[ReportLine | NamedWords]:
    """The most improved sentences, then the most worsened ones."""
    for title, chosen in (("better", changes.better), ("worse", changes.worse)):
        shown = chosen[:count]
        if shown:
            yield ""
            yield f"the {len(shown)} sentences that are {title} in B by most"
        for change in shown:
            yield ""
            yield (
                f"line {change.line}: sentence BLEU A {change.a_bleu:.1f}, "
                f"B {change.b_bleu:.1f} ({change.gain:+.1f})"
            )
            yield from _texts(change)


def _texts(change: "Change") -> Iterator[NamedWords]:
    """The source, the references, and both translations of a sentence."""
    from s2st.analysis.sentence_changes import differing_words

    if change.source is not None:
        yield NamedWords("source", split_words(change.source))
    for number, reference in enumerate(change.references, start=1):
        name = "reference" if len(change.references) == 1 else f"ref. {number}"
        yield NamedWords(name, split_words(reference))
    a, b = split_words(change.a), split_words(change.b)
    for name, words, marks in zip("AB", (a, b), differing_words(a, b), strict=True):
        yield NamedWords(name, words, marks)
