"""Counts of what `preprocess` wrote and skipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SideCounts:
    """Number of tokens and of unknown tokens of one side of a split, without EOS."""

    tokens: int
    unknown: int


@dataclass(frozen=True)
class CorpusCounts:
    """Counts of one corpus of a split: pairs kept, and training pairs skipped by reason."""

    name: str
    pairs: int
    skipped_empty: int = 0
    skipped_long: int = 0
    skipped_ratio: int = 0
    skipped_copies: int = 0
    skipped_duplicates: int = 0


@dataclass(frozen=True)
class SplitReport:
    """Counts of one split of one language pair, and of each of its corpora, in their order."""

    name: str
    pairs: int
    source: SideCounts
    target: SideCounts
    skipped_empty: int
    skipped_long: int
    skipped_ratio: int = 0
    skipped_copies: int = 0
    skipped_duplicates: int = 0
    source_language: str = ""
    target_language: str = ""
    corpora: tuple[CorpusCounts, ...] = ()


@dataclass(frozen=True)
class PreprocessReport:
    """Folder, size of the vocabulary of each language, and splits of a store."""

    folder: Path
    words: Mapping[str, int]
    splits: tuple[SplitReport, ...]

    @property
    def source_words(self) -> int:
        """Words of the first language."""
        return next(iter(self.words.values()))

    @property
    def target_words(self) -> int:
        """Words of the last language."""
        return list(self.words.values())[-1]
