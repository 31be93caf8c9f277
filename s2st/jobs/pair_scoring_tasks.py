"""Log-probabilities of pairs of lines under a scorer, as tasks of the work queue."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np

from s2st.data.batch import make_batch, make_source
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.errors import describe_lines
from s2st.jobs.work_queue import Task, WorkQueue, in_order
from s2st.process.device import out_of_memory_errors
from s2st.scoring.base import Scorer
from s2st.scoring.prefix_sharing import MAX_PADDED_SOURCE, score_lists
from s2st.text.vector_lines import content_key, refuse_vectors
from s2st.text.vocabulary import UNK_ID

CHUNK_PAIRS = 4096
MAX_ROWS = 2048
BATCHING = BatchingConfig(batch_size=128, max_tokens=8192)
SOURCES = BatchingConfig(batch_size=MAX_ROWS, max_tokens=MAX_PADDED_SOURCE)  # shared ones


@dataclass(frozen=True)
class PairScore:
    """log p(target | source) of one pair of lines, in nats.

    Attributes:
        line: index of the pair from 0.
        tokens: the target's tokens, without EOS.
        token_log_probs: log-probability of each token and, last, of EOS.
        log_prob: their sum.
        unknown: number of target tokens that are not in the vocabulary.
        impossible: number of tokens, EOS among them, whose probability is 0.
    """

    line: int
    tokens: tuple[str, ...]
    token_log_probs: tuple[float, ...]
    log_prob: float
    unknown: int
    impossible: int


def score_pairs(scorer: Scorer, pairs: Iterable[tuple[str, ...]]) -> Iterator[PairScore]:
    """Yield the score of each (source, target) pair of lines, in order; see `plan`."""
    return in_order(plan(scorer, pairs), lambda pair: pair, WorkQueue())


def plan(scorer: Scorer, pairs: Iterable[tuple[str, ...]]) -> Iterator[Sequence[Task[PairScore]]]:
    """Yield the tasks of each chunk of pairs; a task is one batch.

    If most pairs of a chunk share their source with another pair, targets share prefixes as well.
    Computing a task raises OutOfMemoryError, which names the lines, or DataError for a pair that
    the model cannot score.
    """
    iterator = iter(pairs)
    first = 0
    while texts := list(islice(iterator, CHUNK_PAIRS)):
        source, target = scorer.source, scorer.target
        if not source.absent:
            refuse_vectors((pair[0] for pair in texts), source.tokenizer)
        words = [target.tokenizer.encode(pair[1]) for pair in texts]
        chunk = _Chunk(
            scorer,
            first,
            [source.ids(source.tokenizer.encode(pair[0])) for pair in texts],
            words,
            [target.ids(tokens) for tokens in words],
        )
        yield chunk.tasks()
        first += len(texts)


@dataclass(frozen=True)
class _Chunk:
    """A chunk of pairs, tokenized.

    Attributes:
        scorer: the model or ensemble.
        first: index of the first pair in the input.
        sources, targets: ids of each pair.
        words: tokens of each target.
    """

    scorer: Scorer
    first: int
    sources: Sequence[list[int]]
    words: Sequence[Sequence[str]]
    targets: Sequence[list[int]]

    def tasks(self) -> Sequence[Task[PairScore]]:
        groups: dict[tuple[int, ...] | bytes, list[int]] = {}
        for index, source in enumerate(self.sources):
            groups.setdefault(content_key(source), []).append(index)
        if len(groups) <= len(self.sources) // 2 and not self.scorer.source.absent:
            return self._shared(list(groups.values()))
        sides = zip(self.sources, self.targets, strict=True)
        lengths = np.array([max(len(s), len(t)) for s, t in sides], dtype=np.int64)
        batches = [batch.tolist() for batch in plan_in_order(lengths, BATCHING)]
        return [Task(self._lines(batch), partial(self._score, batch)) for batch in batches]

    def _shared(self, groups: Sequence[Sequence[int]]) -> Sequence[Task[PairScore]]:
        """Return tasks of whole groups; the pairs of a group have the same source."""
        lengths = np.array([len(self.sources[group[0]]) for group in groups], dtype=np.int64)
        tasks = []
        for batch in plan_in_order(lengths, SOURCES):
            chosen = [groups[i] for i in batch.tolist()]
            lines = self._lines(chain.from_iterable(chosen))
            tasks.append(Task(lines, partial(self._score_groups, chosen)))
        return tasks

    def _score(self, indices: Sequence[int]) -> Iterator[PairScore]:
        sources, targets = self._ids(indices)
        longest = max(max(len(s), len(t)) for s, t in zip(sources, targets, strict=True))
        with out_of_memory_errors(describe_lines(self._lines(indices), longest)):
            found = self.scorer.score(make_batch(sources, targets, indices)).tolist()
        for index, row in zip(indices, found, strict=True):
            yield self._answer(index, row[: len(self.targets[index]) + 1])

    def _score_groups(self, groups: Sequence[Sequence[int]]) -> Iterator[PairScore]:
        flat = list(chain.from_iterable(groups))
        sources, _ = self._ids([group[0] for group in groups])
        longest = max(len(sources[0]), *(len(self.targets[i]) for i in flat))
        with out_of_memory_errors(describe_lines(self._lines(flat), longest)):
            batch = make_source(sources, range(len(sources)))
            lists = [[self.targets[i] for i in group] for group in groups]
            found = score_lists(self.scorer, batch, lists, MAX_ROWS).token_log_probs
        for index, row in zip(flat, chain.from_iterable(found), strict=True):
            yield self._answer(index, row.tolist())

    def _ids(self, indices: Sequence[int]) -> tuple[list[list[int]], list[list[int]]]:
        return [self.sources[i] for i in indices], [self.targets[i] for i in indices]

    def _lines(self, indices: Iterable[int]) -> list[int]:
        return [self.first + index for index in indices]

    def _answer(self, index: int, row: Sequence[float]) -> PairScore:
        places = self.scorer.target.places(len(row))
        if sum(row) == -math.inf:
            pair = make_batch([self.sources[index]], [self.targets[index]], self._lines([index]))
            self.scorer.check_pairs(pair)
        return PairScore(
            line=self.first + index,
            tokens=tuple(self.words[index]),
            token_log_probs=tuple(row[place] for place in places),
            log_prob=sum(row),
            unknown=self.targets[index].count(UNK_ID),
            impossible=sum(value <= self.scorer.log_zero for value in row),
        )
