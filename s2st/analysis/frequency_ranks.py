"""Frequency ranks of words, and the mean rank of each sentence's words as its rarity."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import CheckpointError, DataError, InputMissingError
from s2st.process.consistent_reads import is_folder, steady
from s2st.process.folder_manifest import kind_of
from s2st.text.line_files import read_lines, split_words
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class WordRanks:
    """Ranks of words by frequency.

    Attributes:
        rank: rank of each word. The most frequent word has rank 1; equally frequent words have
            ranks in the order of their source.
        split: returns the words of a line.
    """

    rank: Mapping[str, int]
    split: Callable[[str], list[str]] = split_words

    def means(self, lines: Sequence[str]) -> list[float]:
        """Return the mean rank of each line's words, NaN for a line without words.

        An unknown word has the rank after the last one.
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
    """Return the ranks of words by their counts; equal counts keep the order of `counts`."""
    words = sorted(counts, key=lambda word: -counts[word])
    return WordRanks({word: rank for rank, word in enumerate(words, start=1)}, split)


def ranks_of_text(path: str) -> WordRanks:
    """Return the ranks of the words of a text file, split at white space.

    Raises:
        InputMissingError: the file cannot be read.
        DataError: the file is not UTF-8, or has no words.
    """
    counts: Counter[str] = Counter()
    for line in read_lines(path):
        counts.update(split_words(line))
    if not counts:
        raise DataError("no words to rank", path)
    return ranks_of_counts(dict(sorted(counts.items())))  # ties as in a dict file


def ranks_of_vocabulary(path: str) -> WordRanks:
    """Return the ranks of the words of a dict file, or of the source side of a store or checkpoint.

    The tokenizer of a store or checkpoint splits lines; with a dict file, lines are split at white
    space.

    Raises:
        InputMissingError: the file or folder is missing.
        DataError: the file has no words or is damaged.
        CheckpointError: the folder is neither a store nor a checkpoint, or is damaged.
    """
    folder = Path(path)
    if is_folder(path):
        vocabulary, spec = _source_side(folder)
        split: Callable[[str], list[str]] = spec.build().encode
    else:
        vocabulary, split = Vocabulary.load(path), split_words
    first = vocabulary.first_word
    counts = dict(zip(vocabulary.tokens[first:], vocabulary.counts[first:], strict=True))
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
