"""What the user demands of each line's translation: a prefix, and phrases that must occur.

Line i of `--prefix FILE` and of `--constraints FILE` belongs to line i of the input.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from s2st.errors import DataError, UsageError
from s2st.rescoring.text_mismatch_check import UnknownWords
from s2st.scoring.base import Scorer
from s2st.text.line_files import read_lines

SEPARATOR = "\t"  # between the phrases of a line


@dataclass(frozen=True)
class Demand:
    """What the translation of one line must have.

    Attributes:
        prefix: the text with which it begins; None for any beginning.
        prefix_words: tokens of the prefix, in the order of the text.
        prefix_ids: their ids, in the model's order.
        phrases: ids of each phrase that must occur, in the model's order.
    """

    prefix: str | None = None
    prefix_words: tuple[str, ...] = ()
    prefix_ids: tuple[int, ...] = ()
    phrases: tuple[tuple[int, ...], ...] = ()


# a file, its lines in memory, or nothing
LineSource: TypeAlias = str | Iterable[str] | None


def _lines_of(source: str | Iterable[str], errors: str | None) -> Iterator[str]:
    return read_lines(source, errors) if isinstance(source, str) else iter(source)


class Demands:
    """The demands of all lines, read beside the input.

    Args:
        scorer: the model or ensemble.
        prefix, constraints: the files, "-" for standard input, or their lines; None for none.
        errors: for bad UTF-8, as for `read_lines`.

    Raises:
        UsageError: the model cannot keep a prefix.
    """

    def __init__(
        self, scorer: Scorer, prefix: LineSource, constraints: LineSource, errors: str | None = None
    ) -> None:
        if prefix is not None:
            _check_prefix(scorer)
        self._side = scorer.target
        named = (("prefix", prefix), ("constraints", constraints))
        # in memory, the lines have the option's name
        names = [text if isinstance(text, str) else name for name, text in named]
        self._files = [
            name for name, (_, text) in zip(names, named, strict=True) if text is not None
        ]
        self._prefixes = None if prefix is None else _lines_of(prefix, errors)
        self._constraints = None if constraints is None else _lines_of(constraints, errors)
        self._unknown = UnknownWords(self._side.vocabulary, self._side.tokenizer)
        self._constraints_file = names[1]
        self._lines = 0

    def take(self, count: int) -> list[Demand]:
        """The demands of the next lines; raises DataError if a file has fewer."""
        streams = [s for s in (self._prefixes, self._constraints) if s is not None]
        rows = [list(islice(stream, count)) for stream in streams]
        for path, row in zip(self._files, rows, strict=True):
            if len(row) < count:
                number = self._lines + len(row)
                raise DataError(
                    f"ends after {number} lines, but the input has more; it needs a line for each "
                    "line of the input",
                    path,
                    number + 1,
                )
        made = [Demand()] * count
        if self._prefixes is not None:
            made = [self._prefix(line) for line in rows[0]]
        if self._constraints is not None:
            numbered = zip(made, rows[-1], strict=True)
            made = [
                Demand(demand.prefix, demand.prefix_words, demand.prefix_ids,
                       self._phrases(line, self._lines + number))
                for number, (demand, line) in enumerate(numbered, start=1)
            ]  # fmt: skip
        self._lines += count
        return made

    def finish(self) -> str | None:
        """Checks that the files end with the input; returns a warning of unknown words, if any.

        Raises:
            DataError: a file has more lines than the input.
        """
        streams: list[Iterator[str]] = [
            s for s in (self._prefixes, self._constraints) if s is not None
        ]
        for path, stream in zip(self._files, streams, strict=True):
            if next(stream, None) is not None:
                raise DataError(
                    f"has more lines than the input, which has {self._lines}", path, self._lines + 1
                )
        return self._unknown.warning("--prefix")

    def _prefix(self, line: str) -> Demand:
        words = self._side.tokenizer.encode(line)
        if not words:
            return Demand()
        self._unknown.add(words, line)
        return Demand(line, tuple(words), tuple(self._side.ids(words)))

    def _phrases(self, line: str, number: int) -> tuple[tuple[int, ...], ...]:
        phrases = []
        for text in line.split(SEPARATOR):
            words = self._side.tokenizer.encode(text)
            unknown = [word for word in words if word not in self._side.vocabulary]
            if unknown:
                raise DataError(
                    f"the model cannot write {text.strip()!r}: {unknown[0]!r} is not in its target "
                    "vocabulary; remove the phrase, or spell it as the training text does",
                    self._constraints_file,
                    number,
                )
            if words:
                phrases.append(tuple(self._side.ids(words)))
        return tuple(phrases)


def prompts(lines: Sequence[str], words: Sequence[list[str]], ids: Sequence[list[int]],
            demands: Sequence[Demand]) -> list[Demand]:  # fmt: skip
    """The demands of a language model's lines, which are the prefixes of its output."""
    return [
        Demand(line, tuple(row), tuple(numbers), demand.phrases)
        for line, row, numbers, demand in zip(lines, words, ids, demands, strict=True)
    ]


def _check_prefix(scorer: Scorer) -> None:
    if scorer.source.absent:
        raise UsageError(
            "--prefix needs a model with a source; a language model continues the lines of INPUT"
        )
    if scorer.target.right_to_left:
        raise UsageError(
            "--prefix needs a model that predicts the first word first, but this one was trained "
            "with --reverse-target; use --constraints, or another model"
        )
