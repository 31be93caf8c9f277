"""What attention says of words: alignments in Pharaoh's format, and unknown words replaced.

A target word is aligned with the source word that it attends to most. Ends of sentences are left
out on both sides. Words are the model's tokens, counted from 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import make_source
from s2st.errors import DataError, UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Search
from s2st.text.line_files import open_output, read_lines, split_words
from s2st.text.vocabulary import BOS_ID, UNK_ID

Links = tuple[tuple[int, int], ...]  # (source word, target word)


class WriteLine(Protocol):
    """Takes one line, without its newline."""

    def __call__(self, line: str) -> None:
        """Writes it."""


def require_attention(scorer: Scorer, asked: str, search: Search | None = None) -> None:
    """Raises UsageError, which names what was asked for, where there will be no attention."""
    if search is not None and not search.gives_attention:
        raise UsageError(f"{asked} needs a search that goes word by word, such as beam")
    if scorer.source.absent:
        raise UsageError(f"{asked} needs a model that reads a source; this is a language model")
    state = scorer.start(make_source([[UNK_ID]], [0]))
    begin = torch.tensor([BOS_ID], device=scorer.device)
    if scorer.advance(begin, state).attention is None:
        raise UsageError(
            f"{asked} needs a model with attention, such as lstm-attention (in an ensemble, all "
            "members that read a source need it)"
        )


def links_of(attention: npt.NDArray[np.float32]) -> Links:
    """The alignment by attention (T, S), of which the last row and column are the ends'.

    Of source words that are attended to equally, the first one counts.
    """
    words = attention[:-1, :-1]
    if not words.size:
        return ()
    return tuple((source, target) for target, source in enumerate(words.argmax(axis=1).tolist()))


def format_links(links: Links) -> str:
    """Pharaoh's format: `source-target` pairs."""
    return " ".join(f"{source}-{target}" for source, target in links)


def replace_unknown(
    ids: Sequence[int],
    words: Sequence[str],
    links: Links,
    source: Sequence[str],
    dictionary: Mapping[str, str],
) -> list[str]:
    """The words, each unknown one as the translation of the source word it is aligned with.

    Args:
        ids, words: of the target; an id of an unknown word is UNK_ID.
        links: one for each target word, in order.
        source: the source words.
        dictionary: translations; a source word that it lacks is copied.
    """
    made = list(words)
    for origin, target in links:
        if ids[target] == UNK_ID:
            made[target] = dictionary.get(source[origin], source[origin])
    return made


def read_dictionary(path: str | None) -> dict[str, str]:
    """Source words to target words, from lines `source target`; nothing where there is no path.

    The first line of a source word counts, so that a lexicon sorted by probability may be given.

    Raises:
        InputMissingError: the file cannot be read.
        DataError: a line that is not two words.
    """
    made: dict[str, str] = {}
    if path is None:
        return made
    for number, line in enumerate(read_lines(path), start=1):
        words = split_words(line)
        if len(words) != 2:
            message = f"{len(words)} words; expected `source target`, with a blank or tab between"
            raise DataError(message, path, number)
        made.setdefault(words[0], words[1])
    return made


@contextmanager
def open_alignments(path: str | None) -> Iterator[WriteLine]:
    """Yields what writes a line there at once; where there is no path, what does nothing."""
    if path is None:
        yield lambda line: None
        return
    with open_output(path) as write:

        def write_line(line: str) -> None:
            write(line)
            write.flush()

        yield write_line
