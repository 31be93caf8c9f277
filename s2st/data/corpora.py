"""A set of parallel corpora, numbered as one: the training or the validation data of a run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from s2st.data.parallel_corpus import ParallelCorpus
from s2st.data.store import Store

Indices = npt.NDArray[np.int64]
Reading = Callable[[ParallelCorpus], ParallelCorpus]


@dataclass(frozen=True)
class CorpusSet:
    """Parallel corpora whose pairs are numbered through, from 0.

    Attributes:
        parts: the data, one part for each language pair or, in validation, for each corpus.
        sizes: name and number of pairs of each corpus, in the order of the pairs' numbers. A part
            can have several corpora.
        counts: number of pairs of each corpus in an epoch; None if each pair occurs once.
    """

    parts: tuple[ParallelCorpus, ...]
    sizes: tuple[tuple[str, int], ...]
    counts: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def starts(self) -> Indices:
        """Return the number of the first pair of each part."""
        return np.cumsum([0, *map(len, self.parts[:-1])])

    def lengths(self) -> tuple[Indices, Indices]:
        """Return the number of words of all source and of all target sentences."""
        if len(self.parts) == 1:
            return self.parts[0].source_lengths(), self.parts[0].target.lengths()
        return (
            np.concatenate([part.source_lengths() for part in self.parts]),
            np.concatenate([part.target.lengths() for part in self.parts]),
        )

    def read_as(self, reading: Reading) -> "CorpusSet":
        """Return the same pairs, with each part changed by a function."""
        return replace(self, parts=tuple(map(reading, self.parts)))

    def named_parts(self) -> Iterator[tuple[str, ParallelCorpus]]:
        """Yield the parts with the name of their first corpus."""
        place, names = 0, {}
        for name, size in self.sizes:
            names[place] = name
            place += size
        for start, part in zip(self.starts().tolist(), self.parts, strict=True):
            yield names[start], part


def corpus_set(data: "ParallelCorpus | CorpusSet") -> CorpusSet:
    """Return data as a set; a corpus alone is a set of one."""
    return data if isinstance(data, CorpusSet) else CorpusSet((data,), (("", len(data)),))


def splits_of(store: Store, kind: str) -> list[str]:
    """Return the splits of a kind (train, valid or test), empty without such a split.

    A store of an earlier version does not name its corpora. Then only its first split counts.
    Raises CheckpointError.
    """
    splits = [name for name in store.splits if name.partition(".")[0].rstrip("0123456789") == kind]
    return [kind] if kind in splits and not store.corpora(kind) else splits


def read_split(store: Store, kind: str) -> CorpusSet | None:
    """Return the corpora of all splits of a kind, None without such a split.

    Args:
        store: the store.
        kind: as in `splits_of`.

    Raises:
        CheckpointError: the store is damaged.
    """
    splits = splits_of(store, kind)
    if not splits:
        return None
    parts = [store.split(name) for name in splits]
    sizes: list[tuple[str, int]] = []
    for name, part in zip(splits, parts, strict=True):
        sizes += store.corpora(name) or [(name, len(part))]
    return CorpusSet(tuple(parts), tuple(sizes))


def training_split(store: Store) -> CorpusSet:
    """Return the training corpora of all language pairs.

    Raises:
        InputMissingError: the store has no training split; the message names its splits.
        CheckpointError: the store is damaged.
    """
    found = read_split(store, "train")
    return corpus_set(store.split("train")) if found is None else found
