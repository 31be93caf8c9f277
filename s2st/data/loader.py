"""The loader: batches of a split in the planner's order, from any position."""

from collections.abc import Iterator, Sequence

from s2st.data.batch import Batch, make_batch
from s2st.data.batching import BatchingConfig, Indices, plan_batches, plan_in_order
from s2st.data.store import ParallelCorpus


class TrainingLoader:
    """Epochs of shuffled batches. The order follows from (seed, epoch) alone.

    Args:
        corpus: the training split.
        config: sizes and order of batches.
        seed: the run's seed.
    """

    def __init__(self, corpus: ParallelCorpus, config: BatchingConfig, seed: int) -> None:
        self._corpus = corpus
        self._config = config
        self._seed = seed
        self._lengths = corpus.source.lengths(), corpus.target.lengths()

    def plan(self, epoch: int) -> list[Indices]:
        """The batches of an epoch (from 0) as arrays of sentence indices."""
        source, target = self._lengths
        return plan_batches(source, target, self._config, self._seed, epoch)

    def load(self, indices: Sequence[int] | Indices) -> Batch:
        """The batch of these sentences."""
        return load_batch(self._corpus, indices)


def validation_batches(corpus: ParallelCorpus, config: BatchingConfig) -> Iterator[Batch]:
    """Every sentence once, in batches of near-equal target length."""
    for indices in plan_in_order(corpus.target.lengths(), config):
        yield load_batch(corpus, indices)


def load_batch(corpus: ParallelCorpus, indices: Sequence[int] | Indices) -> Batch:
    """Reads sentences from the store into a batch."""
    rows = [int(index) for index in indices]
    sources = [corpus.source[index].tolist() for index in rows]
    targets = [corpus.target[index].tolist() for index in rows]
    batch = make_batch(sources, targets, rows)
    for side, ids in ((corpus.source, batch.source.tokens), (corpus.target, batch.target_out)):
        if ids.numel():  # a file may change under a run; torch's lookup would name neither
            side.check_range(int(ids.min()), int(ids.max()))
    return batch
