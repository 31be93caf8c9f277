"""Files of word translations with probabilities, of s2st and of other programs.

Written: lines `source TAB target TAB probability`, the best translation of each word first. Read:

- lines with tabs: `source target p`, where p is a probability, or its natural logarithm as
  fast_align writes it (any negative number in the file says so);
- lines with spaces: `target source probability`, as in the `lex` files of Moses and Marian.

`NULL` is the empty word there; s2st writes no line for it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError
from s2st.lexicon.model1 import EMPTY_WORD, Model1
from s2st.text.line_files import read_lines
from s2st.text.vocabulary import SPECIALS, UNK_ID, Vocabulary

NO_WORD = "NULL"  # the empty word of Moses
KEYS = 1 << 18  # of the table that are written together


@dataclass(frozen=True)
class Lexicon:
    """Word translations by id, sorted by source id, then by falling probability, then by target id.

    Attributes:
        source, target: (L,) ids.
        values: (L,) probabilities, or their natural logarithms.
        lines: number of lines of the file, whether the vocabularies have their words or not.
    """

    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    lines: int

    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return (L,) probabilities."""
        logarithms = len(self.values) and self.values.min() < 0
        return np.exp(self.values) if logarithms else self.values


def lexicon_lines(
    table: Model1, source: Vocabulary, target: Vocabulary, least: float
) -> Iterator[str]:
    """Yield the file in pieces.

    Args:
        table: the probabilities.
        source, target: the vocabularies.
        least: lowest probability of a line.
    """
    width = table.target_words
    first = int(np.searchsorted(table.keys, (EMPTY_WORD + 1) * width))
    while first < len(table.keys):
        # whole source words, at least one
        word = table.keys[min(first + KEYS, len(table.keys)) - 1] // width
        last = int(np.searchsorted(table.keys, word * width))
        if last <= first:
            last = int(np.searchsorted(table.keys, (word + 1) * width))
        keys, values = np.array(table.keys[first:last]), np.array(table.probabilities[first:last])
        first = last
        kept = (values >= least) & (values > 0)
        keys, values = keys[kept], values[kept]
        order = np.lexsort((keys, -values, keys // width))
        rows = zip(
            (keys[order] // width).tolist(), (keys[order] % width).tolist(),
            values[order].tolist(), strict=True,
        )  # fmt: skip
        yield "".join(f"{source.tokens[s]}\t{target.tokens[t]}\t{p:.6g}\n" for s, t, p in rows)


def read_lexicon(path: str, source: Vocabulary, target: Vocabulary) -> Lexicon:
    """Read a file; lines with words that a vocabulary lacks are left out.

    Raises:
        InputMissingError: the file cannot be read.
        DataError: a line does not have the format, or the vocabularies have none of the words.
    """
    found: list[tuple[int, int, float]] = []
    lines = 0
    for lines, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if len(fields) == 3:
            first, second, number = fields
        else:
            fields = line.split()
            if len(fields) != 3:
                raise DataError(
                    "expected `source TAB target TAB probability`, or with spaces `target source "
                    "probability`",
                    path,
                    lines,
                )
            second, first, number = fields
        value = _number(number, path, lines)
        ids = _id(source, first), _id(target, second)
        if ids[0] is not None and ids[1] is not None:
            found.append((ids[0], ids[1], value))
    if not found:
        raise DataError(
            "the model's vocabularies have none of its word pairs; train a lexicon on the store of "
            "the model, or swap its columns",
            path,
        )
    columns = [np.array(column) for column in zip(*found, strict=True)]
    order = np.lexsort((columns[1], -columns[2], columns[0]))
    return Lexicon(columns[0][order], columns[1][order], columns[2][order], lines)


def _number(text: str, path: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or value > 1:
        raise DataError(f"{text[:40]!r} is no probability and no logarithm of one", path, line)
    return value


def _id(vocabulary: Vocabulary, word: str) -> int | None:
    if word in vocabulary:
        return vocabulary.id(word)
    return UNK_ID if word == SPECIALS[UNK_ID] else None
