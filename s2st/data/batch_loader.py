"""The loader: batches of a split in the planner's order, from any position."""

from collections.abc import Sequence

import numpy as np
import torch

from s2st.data.batch import Batch, batch_of, source_of
from s2st.data.batch_planner import BatchingConfig, Indices, plan_batches
from s2st.data.store import ParallelCorpus, Side
from s2st.text.vocabulary import PAD_ID


class TrainingLoader:
    """Epochs of shuffled batches. The order follows from (seed, epoch) alone.

    Args:
        corpus: the training split.
        config: sizes and order of batches.
        seed: the run's seed.
        together: batches of an update, which are to be of like size.

    Attributes:
        lengths: words of each source and of each target sentence.
    """

    def __init__(
        self, corpus: ParallelCorpus, config: BatchingConfig, seed: int, together: int = 1
    ) -> None:
        self._corpus = corpus
        self._config = config
        self._seed = seed
        self._together = together
        self.lengths = corpus.source.lengths(), corpus.target.lengths()

    def plan(self, epoch: int) -> list[Indices]:
        """The batches of an epoch (from 0) as arrays of sentence indices."""
        return plan_batches(*self.lengths, self._config, self._seed, epoch, self._together)

    def load(self, indices: Sequence[int] | Indices) -> Batch:
        """The batch of these sentences."""
        return load_batch(self._corpus, indices)


def load_batch(corpus: ParallelCorpus, indices: Sequence[int] | Indices) -> Batch:
    """Reads sentences from the store into a batch."""
    rows = np.asarray(indices, dtype=np.int64)
    source = source_of(*_padded(corpus.source, rows), rows.tolist())
    return batch_of(source, *_padded(corpus.target, rows))


def _padded(side: Side, indices: Indices) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, longest) right-padded ids of sentences and their (B,) lengths."""
    starts, lengths = side.bounds(indices)
    columns = np.arange(lengths.max(initial=0))
    real = columns < lengths[:, np.newaxis]
    first, step = (starts, 1) if not side.backwards else (starts + lengths - 1, -1)
    ids = side.ids[(first[:, np.newaxis] + step * columns)[real]]
    if len(ids):  # a file may change under a run; torch's lookup would name neither
        side.check_range(int(ids.min()), int(ids.max()))
    padded = np.full(real.shape, PAD_ID, dtype=np.int64)
    padded[real] = ids
    return torch.from_numpy(padded), torch.from_numpy(lengths)
