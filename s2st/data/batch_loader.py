"""Loading of training and validation batches from the store, in the planner's order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from s2st.data.batch import Batch, batch_of, source_of
from s2st.data.batch_planner import BatchingConfig, Indices, plan_batches
from s2st.data.corpora import CorpusSet, corpus_set
from s2st.data.corpus_mixing import pairs_of_epoch
from s2st.data.store import ParallelCorpus, Side
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

    def load(self, indices: Sequence[int] | Indices) -> Batch:
        """Return the batch of these sentences."""
        rows = np.asarray(indices, dtype=np.int64)
        part = int(np.searchsorted(self._starts, rows[0], side="right")) - 1
        return load_batch(self._data.parts[part], rows, int(self._starts[part]))


def load_batch(corpus: ParallelCorpus, indices: Sequence[int] | Indices, first: int = 0) -> Batch:
    """Read sentences from the store into a batch.

    Args:
        corpus: the sentences.
        indices: their numbers, from `first`.
        first: number of the first sentence of the corpus.
    """
    numbers = np.asarray(indices, dtype=np.int64)
    rows = numbers - first
    source = source_of(*_padded(corpus.source, rows), numbers.tolist())
    if corpus.tag is not None:
        source = source.with_tag(corpus.tag)
    batch = batch_of(source, *_padded(corpus.target, rows))
    return replace(batch, target_language=corpus.target_language)


def _padded(side: Side, indices: Indices) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (B, longest) right-padded ids of sentences and their (B,) lengths."""
    starts, lengths = side.bounds(indices)
    columns = np.arange(lengths.max(initial=0))
    real = columns < lengths[:, np.newaxis]
    first, step = (starts, 1) if not side.backwards else (starts + lengths - 1, -1)
    ids = side.ids[(first[:, np.newaxis] + step * columns)[real]]
    if len(ids):  # a file may change during a run, and torch's lookup error names no file
        side.check_range(int(ids.min()), int(ids.max()))
    padded = np.full(real.shape, PAD_ID, dtype=np.int64)
    padded[real] = side.translated(ids)
    return torch.from_numpy(padded), torch.from_numpy(lengths)
