"""Sentence pairs of a split, and the memory-mapped arrays of each side: see `store.py`."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from s2st.errors import CheckpointError
from s2st.text.vector_lines import VectorLine


class Sampler(Protocol):
    """Draws segmentations of sentences (`subword_sampling.py`)."""

    def draw(self, index: int, epoch: int, stored: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return ids of a segmentation of sentence `index` in an epoch."""


@dataclass(frozen=True)
class Side:
    """One language of one split.

    Attributes:
        ids, offsets: the memory-mapped arrays.
        words: size of the vocabulary, to check ids; None skips the check.
        path: file of the ids, for messages.
        backwards: whether sentences are returned from the last word to the first.
        table: id of another vocabulary for each id; None for the ids of the store.
        sampler: draws other segmentations of the sentences; None keeps the stored one.
        vectors: (P, D) float32, mapped: the vectors of all sentences; None for text. The ids are
            then without meaning.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    words: int | None = None
    path: str | None = None
    backwards: bool = False
    table: npt.NDArray[np.int64] | None = None
    sampler: "Sampler | None" = None
    vectors: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        words = self.translated(self.ids[self.offsets[index] : self.offsets[index + 1]])
        return words[::-1] if self.backwards else words

    def with_ids(self, table: npt.NDArray[np.int64]) -> "Side":
        """Return the same words with the ids of another vocabulary: table[id] for each id."""
        return replace(self, table=table)

    def translated(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return ids as this side gives them, from ids of the store."""
        return ids if self.table is None else self.table[ids].astype(np.int32)

    def drawn(self, index: int, epoch: int) -> npt.NDArray[np.int32]:
        """Return the ids of a sentence in an epoch, as the sampler segments it."""
        words = self.ids[self.offsets[index] : self.offsets[index + 1]]
        if self.sampler is not None:
            words = self.sampler.draw(index, epoch, words)
        words = self.translated(words)
        return words[::-1] if self.backwards else words

    def lengths(self) -> npt.NDArray[np.int64]:
        """Return the number of words of every sentence, without EOS."""
        return np.diff(self.offsets)

    def bounds(
        self, indices: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return where sentences start in `ids`, and their lengths; raise CheckpointError."""
        starts, ends = np.asarray(self.offsets[indices]), np.asarray(self.offsets[indices + 1])
        # checked when the file was opened, but it may change during a run
        if np.any(starts < 0) or np.any(ends < starts) or np.any(ends > len(self.ids)):
            raise CheckpointError("damaged: the offsets do not fit the ids", self.path)
        return starts, ends - starts

    def vectors_of(
        self, indices: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the vectors (P, D) of sentences one after the other, and the (B,) lengths.

        Raises:
            CheckpointError: the offsets are damaged, or a number is not finite.
        """
        assert self.vectors is not None
        starts, lengths = self.bounds(indices)
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        values = np.asarray(self.vectors[places])
        if not np.isfinite(values).all():  # the file may change during a run
            raise CheckpointError("damaged: a vector is not finite", self.path)
        return values, lengths

    def vector_lines(self) -> list[str]:
        """Return the sentences of a side of vectors as lines; the values stay mapped."""
        assert self.vectors is not None
        return [
            VectorLine(self.vectors[start:end]) for start, end in pairwise(self.offsets.tolist())
        ]

    def check_range(self, lowest: int, highest: int) -> None:
        """Raise CheckpointError unless ids from `lowest` to `highest` are in the vocabulary."""
        if self.words is not None and (lowest < 0 or highest >= self.words):
            raise CheckpointError("damaged: some ids are not in the vocabulary", self.path)


@dataclass(frozen=True)
class ParallelCorpus:
    """A split of sentence pairs: sentence i of `target` translates sentence i of `source`.

    Attributes:
        source_language, target_language: "" where they do not matter.
        tag: id of the tag of the target language, which batches have before each source; None
            without tags.
    """

    source: Side
    target: Side
    source_language: str = ""
    target_language: str = ""
    tag: int | None = None

    def __len__(self) -> int:
        return len(self.source)

    def source_lengths(self) -> npt.NDArray[np.int64]:
        """Return the number of words of every source, the tag included, without EOS."""
        lengths = self.source.lengths()
        return lengths if self.tag is None else lengths + 1

    def with_targets_reversed(self) -> "ParallelCorpus":
        """Return the same pairs with target words from right to left."""
        return replace(self, target=replace(self.target, backwards=True))

    def with_absent_source(self) -> "ParallelCorpus":
        """Return the same targets, each with an empty source."""
        offsets = np.broadcast_to(np.int64(0), (len(self) + 1,))
        return replace(self, source=Side(np.zeros(0, dtype=np.int32), offsets))
