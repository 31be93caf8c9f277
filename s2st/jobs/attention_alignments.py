"""Word alignments from attention: Pharaoh format, and replacement of unknown words.

A target word is aligned with the source word of its largest attention weight. EOS is left out on
both sides. Words are the model's tokens, counted from 0.
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
    """A function that writes one line."""

    def __call__(self, line: str) -> None:
        """Write a line; `line` has no newline."""


def require_attention(scorer: Scorer, option: str, search: Search | None = None) -> None:
    """Check that model and search give attention.

    Args:
        scorer: the model or ensemble.
        option: the option that needs attention, for messages.
        search: the search, where there is one.

    Raises:
        UsageError: there will be no attention.
    """
    if search is not None and not search.gives_attention:
        raise UsageError(f"{option} needs a search that gives attention, such as beam")
    if scorer.source.absent:
        raise UsageError(f"{option} needs a model with a source; this is a language model")
    state = scorer.start(make_source([[UNK_ID]], [0]))
    begin = torch.tensor([BOS_ID], device=scorer.device)
    if scorer.advance(begin, state).attention is None:
        raise UsageError(
            f"{option} needs a model with attention, such as lstm-attention (in an ensemble, all "
            "members with a source need it)"
        )


def links_of(attention: npt.NDArray[np.floating]) -> Links:
    """Return the alignment for attention weights (T, S), whose last row and column are EOS.

    Of source words with equal weights, the first one counts.
    """
    words = attention[:-1, :-1]
    if not words.size:
        return ()
    return tuple((source, target) for target, source in enumerate(words.argmax(axis=1).tolist()))


def format_links(links: Links) -> str:
    """Return the links in Pharaoh format: `source-target` pairs."""
    return " ".join(f"{source}-{target}" for source, target in links)


def replace_unknown(
    ids: Sequence[int],
    words: Sequence[str],
    links: Links,
    source: Sequence[str],
    dictionary: Mapping[str, str],
) -> list[str]:
    """Replace each unknown word by the translation of the source word it is aligned with.

    Args:
        ids, words: ids and words of the target; the id of an unknown word is UNK_ID.
        links: one for each target word, in order.
        source: the source words.
        dictionary: translations; a source word without one is copied.
    """
    replaced = list(words)
    for origin, target in links:
        if ids[target] == UNK_ID:
            replaced[target] = dictionary.get(source[origin], source[origin])
    return replaced


def read_dictionary(path: str | None) -> dict[str, str]:
    """Read a dictionary; return {} without a path.

    Lines are `source target`, or `source TAB target TAB probability` as `train-lexicon` writes
    them. The first line of a source word counts, which in a lexicon has the highest probability.

    Raises:
        InputMissingError: the file cannot be read.
        DataError: a line does not have two words.
    """
    dictionary: dict[str, str] = {}
    if path is None:
        return dictionary
    for number, line in enumerate(read_lines(path), start=1):
        words = split_words(line)
        if line.count("\t") == 2:  # of a lexicon
            words = words[:-1]
        if len(words) != 2:
            message = f"{len(words)} words; expected `source target`, separated by a blank or tab"
            raise DataError(message, path, number)
        dictionary.setdefault(words[0], words[1])
    return dictionary


@contextmanager
def open_alignments(path: str | None) -> Iterator[WriteLine]:
    """Open a file of alignments; yield a function that writes a line and flushes it.

    Without a path, the function does nothing.
    """
    if path is None:
        yield lambda line: None
        return
    with open_output(path) as write:

        def write_line(line: str) -> None:
            write(line)
            write.flush()

        yield write_line
