"""Loading of training and validation batches from the store, in the planner's order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from s2st.data.batch import Batch, batch_of, pad_rows, source_of, vector_source
from s2st.data.batch_planner import BatchingConfig, Indices, plan_batches
from s2st.data.corpora import CorpusSet, corpus_set
from s2st.data.corpus_mixing import pairs_of_epoch
from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.text.vocabulary import PAD_ID


class TrainingLoader:
    """Loads epochs of shuffled batches. The order is a function of (seed, epoch).

    A batch has pairs of one part of the data, hence of one language pair.

    Args:
        data: the training data.
        config: size and order of batches.
        seed: seed of the run.
        batches_per_update: batches of an update, which get similar sentence lengths.

    Attributes:
        lengths: numbers of words of all source and of all target sentences.
    """

    def __init__(
        self,
        data: ParallelCorpus | CorpusSet,
        config: BatchingConfig,
        seed: int,
        batches_per_update: int = 1,
    ) -> None:
        self._data = corpus_set(data)
        self._config = config
        self._seed = seed
        self._batches_per_update = batches_per_update
        self._starts = self._data.starts()
        self.lengths = self._data.lengths()

    def plan(self, epoch: int) -> list[Indices]:
        """Return the batches of an epoch (from 0) as arrays of sentence indices."""
        data, chosen = self._data, None
        if data.counts is not None:
            sizes = [size for _, size in data.sizes]
            chosen = pairs_of_epoch(sizes, data.counts, self._seed, epoch)
        return plan_batches(
            *self.lengths, self._config, self._seed, epoch, self._batches_per_update, chosen,
            self._starts,
        )  # fmt: skip

    def load(self, indices: Sequence[int] | Indices, epoch: int = 0) -> Batch:
        """Return the batch of these sentences, segmented as in this epoch."""
        rows = np.asarray(indices, dtype=np.int64)
        part = int(self._parts_of(rows[:1])[0])
        return load_batch(self._data.parts[part], rows, epoch, int(self._starts[part]))

    def token_counts(self, indices: Indices, epoch: int) -> tuple[int, int]:
        """Return the numbers of source and target tokens of sentences in an epoch, with EOS."""
        counts = [len(indices), len(indices)]
        parts = self._parts_of(indices)
        for number in np.unique(parts).tolist():
            rows, part = indices[parts == number], self._data.parts[number]
            for index, side in enumerate((part.source, part.target)):
                if side.sampler is None:
                    counts[index] += int(self.lengths[index][rows].sum())
                    continue
                tag = index == 0 and part.tag is not None
                for row in (rows - self._starts[number]).tolist():
                    counts[index] += len(side.drawn(row, epoch)) + tag
        return counts[0], counts[1]

    def _parts_of(self, indices: Indices) -> Indices:
        """Return the part of the data that each sentence belongs to."""
        return np.searchsorted(self._starts, indices, side="right") - 1


def load_batch(
    corpus: ParallelCorpus, indices: Sequence[int] | Indices, epoch: int = 0, first: int = 0
) -> Batch:
    """Read sentences from the store into a batch.

    Args:
        corpus: the sentences.
        indices: their numbers, from `first`.
        epoch: the epoch, from which a side with a sampler draws segmentations.
        first: number of the first sentence of the corpus.
    """
    numbers = np.asarray(indices, dtype=np.int64)
    rows = numbers - first
    if corpus.source.vectors is None:
        source = source_of(*_padded(corpus.source, rows, epoch), numbers.tolist())
    else:
        source = vector_source(*corpus.source.vectors_of(rows), numbers.tolist())
    if corpus.tag is not None:
        source = source.with_tag(corpus.tag)
    batch = batch_of(source, *_padded(corpus.target, rows, epoch))
    return replace(batch, target_language=corpus.target_language)


def _padded(side: Side, indices: Indices, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (B, longest) right-padded ids of sentences and their (B,) lengths."""
    starts, lengths = side.bounds(indices)
    if side.sampler is not None:
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            ids = side.ids[start : start + length]
            if len(ids):
                side.check_range(int(ids.min()), int(ids.max()))
        return pad_rows([side.drawn(index, epoch).tolist() for index in indices.tolist()])
    columns = np.arange(lengths.max(initial=0))
    real = columns < lengths[:, np.newaxis]
    first, step = (starts, 1) if not side.backwards else (starts + lengths - 1, -1)
    ids = side.ids[(first[:, np.newaxis] + step * columns)[real]]
    if len(ids):  # a file may change during a run, and torch's lookup error names no file
        side.check_range(int(ids.min()), int(ids.max()))
    padded = np.full(real.shape, PAD_ID, dtype=np.int64)
    padded[real] = side.translated(ids)
    return torch.from_numpy(padded), torch.from_numpy(lengths)
