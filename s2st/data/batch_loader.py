"""Loading of training and validation batches from the store, in the planner's order."""

from collections.abc import Sequence

import numpy as np
import torch

from s2st.data.batch import Batch, batch_of, pad_rows, source_of
from s2st.data.batch_planner import BatchingConfig, Indices, plan_batches
from s2st.data.store import ParallelCorpus, Side
from s2st.text.vocabulary import PAD_ID


class TrainingLoader:
    """Loads epochs of shuffled batches. The order is a function of (seed, epoch).

    Args:
        corpus: the training split.
        config: size and order of batches.
        seed: seed of the run.
        batches_per_update: batches of an update, which get similar sentence lengths.

    Attributes:
        lengths: numbers of words of all source and of all target sentences.
    """

    def __init__(
        self, corpus: ParallelCorpus, config: BatchingConfig, seed: int, batches_per_update: int = 1
    ) -> None:
        self._corpus = corpus
        self._config = config
        self._seed = seed
        self._batches_per_update = batches_per_update
        self.lengths = corpus.source.lengths(), corpus.target.lengths()

    def plan(self, epoch: int) -> list[Indices]:
        """Return the batches of an epoch (from 0) as arrays of sentence indices."""
        return plan_batches(
            *self.lengths, self._config, self._seed, epoch, self._batches_per_update
        )

    def load(self, indices: Sequence[int] | Indices, epoch: int = 0) -> Batch:
        """Return the batch of these sentences, segmented as in this epoch."""
        return load_batch(self._corpus, indices, epoch)

    def token_counts(self, indices: Indices, epoch: int) -> tuple[int, int]:
        """Return the numbers of source and target tokens of sentences in an epoch, with EOS."""
        source, target = (
            int(lengths[indices].sum())
            if side.sampler is None
            else sum(len(side.drawn(index, epoch)) for index in indices.tolist())
            for side, lengths in zip(
                (self._corpus.source, self._corpus.target), self.lengths, strict=True
            )
        )
        return source + len(indices), target + len(indices)


def load_batch(corpus: ParallelCorpus, indices: Sequence[int] | Indices, epoch: int = 0) -> Batch:
    """Read sentences from the store into a batch.

    Args:
        corpus: the sentences.
        indices: their numbers.
        epoch: the epoch, from which a side with a sampler draws segmentations.
    """
    rows = np.asarray(indices, dtype=np.int64)
    source = source_of(*_padded(corpus.source, rows, epoch), rows.tolist())
    return batch_of(source, *_padded(corpus.target, rows, epoch))


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
