"""The room of rare words: how far down a list of words by frequency a sentence's words stand."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import CheckpointError, DataError, InputMissingError
from s2st.process.manifest import kind_of
from s2st.process.snapshots import is_folder, steady
from s2st.text.line_files import read_lines, split_words
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class WordRanks:
    """Words by frequency.

    Attributes:
        rank: of each word; the most frequent has 1, words that are equally frequent follow each
            other in the order of the source of the ranks.
        split: a line to its words.
    """

    rank: Mapping[str, int]
    split: Callable[[str], list[str]] = split_words

    def means(self, lines: Sequence[str]) -> list[float]:
        """The mean rank of each line's words; unknown ones have the rank after the last.

        NaN for a line without words.
        """
        get, unknown = self.rank.get, len(self.rank) + 1
        result = []
        for line in lines:
            ranks = [get(word, unknown) for word in self.split(line)]
            result.append(sum(ranks) / len(ranks) if ranks else math.nan)
        return result


def ranks_of_counts(
    counts: Mapping[str, int], split: Callable[[str], list[str]] = split_words
) -> WordRanks:
    """The ranks of words from how often they occurred; of equals the first in `counts` leads."""
    words = sorted(counts, key=lambda word: -counts[word])
    return WordRanks({word: rank for rank, word in enumerate(words, start=1)}, split)


def ranks_of_text(path: str) -> WordRanks:
    """The ranks of the words (split at white space) of a text.

    Raises:
        InputMissingError, DataError: as `read_lines` does, and for a text without a word.
    """
    counts: Counter[str] = Counter()
    for line in read_lines(path):
        counts.update(split_words(line))
    if not counts:
        raise DataError("no words to rank", path)
    return ranks_of_counts(dict(sorted(counts.items())))  # ties as in a dict file


def ranks_of_vocabulary(path: str) -> WordRanks:
    """The ranks of the words of a dict file, or of a store's or checkpoint's source side.

    A folder's tokeniser splits the lines; beside a dict file they are split at white space.

    Raises:
        InputMissingError: no such file or folder.
        DataError: a dict file without words, or a damaged file.
        CheckpointError: a folder that is neither store nor checkpoint, or is damaged.
    """
    folder = Path(path)
    if is_folder(path):
        vocabulary, spec = _source_side(folder)
        split: Callable[[str], list[str]] = spec.build().encode
    else:
        vocabulary, split = Vocabulary.load(path), split_words
    counts = dict(zip(vocabulary.tokens[4:], vocabulary.counts[4:], strict=True))
    if not counts:
        raise DataError("no words to rank", path)
    return ranks_of_counts(counts, split)


def _source_side(folder: Path) -> tuple[Vocabulary, TokenizerSpec]:
    return steady(folder, _read_source_side)


def _read_source_side(folder: Path) -> tuple[Vocabulary, TokenizerSpec]:
    kind = kind_of(folder)
    if kind == "s2st-store":
        from s2st.data.store import Store

        store = Store(folder)
        return store.source_vocabulary, store.source_tokenizer
    from s2st.models.model_files import read_at

    try:
        record = read_at(folder, whole=False).record
    except InputMissingError as error:
        raise CheckpointError(f"neither a store nor a checkpoint: {error}") from error
    return record.source_vocabulary, record.source_tokenizer
