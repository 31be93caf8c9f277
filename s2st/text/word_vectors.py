"""Pretrained word vectors in the text format of word2vec, fastText and GloVe.

Each line has a word and its numbers, separated by single spaces. word2vec and fastText write a
first line `WORDS NUMBERS` of two whole numbers; GloVe does not. Only newlines end a line.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError
from s2st.text.line_files import read_lines

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordVectors:
    """Distinct words, and the (words, numbers) table of their vectors, in the same order."""

    words: tuple[str, ...]
    table: Floats


def read_vectors(path: str | Path, wanted: Container[str] | None = None) -> WordVectors:
    """Read the vectors of a file; the first vector counts for a word that occurs twice.

    Args:
        path: the file.
        wanted: the words to keep, all by default; other vectors take no memory.

    Raises:
        InputMissingError: the file cannot be opened.
        DataError: a malformed line, or a number of lines that differs from the first line.
    """
    vectors: dict[str, Floats] = {}
    size, words, lines = _begin(path)
    count = 0
    for number, line in lines:
        count += 1
        word, text = _divided(line.rstrip(" "), size, path, number)
        if word not in vectors and (wanted is None or word in wanted):
            vectors[word] = _numbers(text, path, number)
    if words not in (None, count):
        message = f"the first line promises {words:,} words, but {count:,} lines follow"
        raise DataError(message, str(path))
    table = np.stack(list(vectors.values())) if vectors else np.zeros((0, size), np.float32)
    return WordVectors(tuple(vectors), table)


def vector_lines(vectors: WordVectors) -> Iterator[str]:
    """Yield the lines of a file of word2vec, which `read_vectors` reads back exactly."""
    words, numbers = vectors.table.shape
    yield f"{words} {numbers}\n"
    for word, row in zip(vectors.words, vectors.table.tolist(), strict=True):
        yield f"{word} {' '.join(f'{value:.9g}' for value in row)}\n"


def vector_size(path: str | Path) -> int:
    """Return the size of the vectors, from the file's first line; raises as `read_vectors`."""
    return _begin(path)[0]


def _begin(path: str | Path) -> tuple[int, int | None, Iterator[tuple[int, str]]]:
    """Return the vector size, the promised number of words or None, and the numbered lines."""
    lines: Iterator[tuple[int, str]] = enumerate(read_lines(path, errors="replace"), start=1)
    _, first = next(lines, (1, ""))
    fields = first.rstrip(" ").split(" ")
    if len(fields) == 2 and all(f.isascii() and f.isdigit() and len(f) < 19 for f in fields):
        words, size = int(fields[0]), int(fields[1])
    else:
        words, size = None, len(fields) - 1 if all(map(_is_number, fields[1:])) else 0
        lines = chain([(1, first)], lines)
    if not size:
        message = "expected a word and its numbers, or `WORDS NUMBERS` (two whole numbers)"
        raise DataError(message, str(path), 1)
    return size, words, lines


def _divided(line: str, size: int, path: str | Path, number: int) -> tuple[str, str]:
    """Split a line into word and numbers. A word may contain spaces (GloVe's `. . .`)."""
    spaces = line.count(" ")
    if spaces == size:
        word, _, text = line.partition(" ")
        return word, text
    word, *rest = line.split(" ")
    if spaces < size or all(map(_is_number, rest[:-size])):
        message = f"expected a word and {size} numbers, but {spaces} fields follow the word"
        raise DataError(message, str(path), number)
    return " ".join([word, *rest[:-size]]), " ".join(rest[-size:])


def _numbers(text: str, path: str | Path, number: int) -> Floats:
    try:
        with np.errstate(over="ignore"):
            values = np.array(list(map(float, text.split(" "))), dtype=np.float32)
    except ValueError as error:
        wrong = next(field for field in text.split(" ") if not _is_number(field))
        raise DataError(f"{wrong[:40]!r} is not a number", str(path), number) from error
    if not np.isfinite(values).all():
        raise DataError("a number is not finite", str(path), number)
    return values


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
