"""Word alignments in the format of Pharaoh, Moses and fast_align, and words made of pieces.

A line has the links of a sentence pair: `0-0 1-2 2-1`, each the number of a source word and of a
target word, from 0.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from s2st.errors import DataError
from s2st.text.line_files import read_lines, split_words
from s2st.text.tokenizers import Tokenizer

Links: TypeAlias = tuple[tuple[int, int], ...]
_LINK = re.compile(r"([0-9]{1,6})-([0-9]{1,6})")


def read_alignments(path: str) -> Iterator[Links]:
    """Yield the links of each line.

    Raises:
        InputMissingError: the file cannot be read.
        DataError: a line has something else than links.
    """
    for number, line in enumerate(read_lines(path), start=1):
        yield _links(line, path, number)


def _links(line: str, path: str, number: int) -> Links:
    found = []
    for text in split_words(line):
        match = _LINK.fullmatch(text)
        if match is None:
            message = f"{text[:40]!r} is no link; expected `source-target`, such as 0-0 1-2"
            raise DataError(message, path, number)
        found.append((int(match[1]), int(match[2])))
    return tuple(found)


def word_spans(tokenizer: Tokenizer, tokens: Sequence[str]) -> list[range]:
    """Return the places of the tokens of each word."""
    begins = [i for i, begin in enumerate(tokenizer.word_starts(tokens)) if begin]
    return [range(*places) for places in pairwise([*begins, len(tokens)])]


def joined_word(tokenizer: Tokenizer, tokens: Sequence[str]) -> str:
    """Return a word of its tokens, as text."""
    if not tokenizer.subword:
        return "".join(tokens)
    return tokenizer.decode(tokens).strip() or "".join(tokens)
