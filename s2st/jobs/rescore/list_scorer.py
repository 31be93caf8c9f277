"""The scorer of n-best lists: the models' log-probability of each hypothesis.

Lists are streamed; a few are in memory at a time. Some lists of one block of source lines form a
group, which is scored together. Groups do not depend on where a run starts. A group is a task of
the work queue.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from s2st.errors import DataError
from s2st.jobs.rescore.scored_list import ScoredList, TokenScores
from s2st.jobs.rescore.sharding import BLOCK
from s2st.jobs.work_queue import TaskName, WorkQueue
from s2st.process.device import out_of_memory_errors
from s2st.rescoring.feature_weights import CHANNEL, MODEL, model_names
from s2st.rescoring.text_mismatch_check import UnknownWords
from s2st.scoring.nbest_features import ListFeature, tokens_of
from s2st.scoring.prefix_sharing import MAX_PADDED_SOURCE
from s2st.text.line_files import split_words
from s2st.text.nbest_lists import NBestEntry


class ListScorer:
    """Scorer of n-best lists under the models.

    Args:
        features: the models, at least one.
        sources: the source lines.
        max_rows: largest number of hypotheses per decoder step; limits the memory.
        path: name of the n-best file, for messages.
        queue: has the scores of an earlier run or of other ranks, and keeps those of this process.
        first_task: number of the task that starts with list 0.
        keep_tokens: whether the queue keeps every token's score, or only the sums.

    Attributes:
        resumed: number of lists whose scores the queue had.
    """

    def __init__(
        self,
        features: Sequence[ListFeature],
        sources: Sequence[str],
        max_rows: int,
        path: str,
        queue: WorkQueue | None = None,
        first_task: int = 0,
        keep_tokens: bool = True,
    ) -> None:
        self.features = features
        self.names = tuple(feature.name for feature in features)
        self.sources = sources
        self.max_rows = max_rows
        self.path = path
        self.queue = queue or WorkQueue()
        self.first_task = first_task
        self.keep_tokens = keep_tokens
        self.resumed = 0
        self._unknown = [
            tuple(UnknownWords(side.vocabulary, side.tokenizer) for side in (f.source, f.target))
            for f in features
        ]

    def score(self, lists: Iterable[list[NBestEntry]]) -> Iterator[ScoredList]:
        """Yield the lists with their scores, in order.

        Raises:
            DataError: an id is beyond the source; the message names the line.
            OutOfMemoryError: the message names the lines.
        """
        pending: list[list[NBestEntry]] = []
        waiting = longest = 0
        for entries in lists:
            if entries[0].id >= len(self.sources):
                count = len(self.sources)
                message = f"id {entries[0].id}, but the source has {count} lines (ids from 0)"
                raise DataError(message, self.path, entries[0].line)
            self._count_unknown(entries)
            new_block = pending and entries[0].id // BLOCK != pending[0][0].id // BLOCK
            longest = max(longest, len(split_words(self.sources[entries[0].id])))
            too_long = pending and (len(pending) + 1) * longest > MAX_PADDED_SOURCE
            if new_block or too_long or waiting >= self.max_rows:
                yield from self._score_together(pending)
                pending, waiting = [], 0
                longest = len(split_words(self.sources[entries[0].id]))
            pending.append(entries)
            waiting += len(entries)
        if pending:
            yield from self._score_together(pending)

    def warnings(self) -> list[str]:
        """Return warnings about the text that was scored, one line each."""
        found = []
        for name, (source, target) in zip(self.names, self._unknown, strict=True):
            of = f" ({name})" if len(self.names) > 1 else ""
            found += [source.warning(f"the source{of}"), target.warning(f"the hypotheses{of}")]
        return [text for text in found if text is not None]

    def _score_together(self, lists: Sequence[list[NBestEntry]]) -> Sequence[ScoredList]:
        task = TaskName(self.first_task + lists[0][0].id, len(lists))
        result = self.queue.read(task)
        if result is not None:
            self.resumed += len(lists)
            return self._decode(result, lists)
        lines = f"{lists[0][0].line} to {lists[-1][-1].line}"
        with out_of_memory_errors(f"{self.path}, lines {lines}"):
            scored = self._scores(lists)
        self.queue.publish(task, [self._encode(item) for item in scored])
        return scored

    def _encode(self, item: ScoredList) -> dict[str, Any]:
        """Return the scores of a list as JSON values."""
        tokens = item.token_scores if self.keep_tokens else ()
        return {
            "scores": item.model_scores.tolist(),
            "tokens": [[row.tolist() for row in model] for model in tokens],
        }

    def _decode(self, result: Any, lists: Sequence[list[NBestEntry]]) -> list[ScoredList]:
        """Return the lists with their scores from the queue, which has verified them."""
        scored = []
        for record, entries in zip(result, lists, strict=True):
            tokens = tuple(
                tuple(np.array(row, dtype=np.float32) for row in model)
                for model in record["tokens"]
            )
            scores = np.array(record["scores"], dtype=np.float64)
            scored.append(ScoredList(tuple(entries), scores, tokens, 0, 0, self.names))
        return scored

    def _scores(self, lists: Sequence[list[NBestEntry]]) -> list[ScoredList]:
        stepped = positions = 0
        sources = [self.sources[entries[0].id] for entries in lists]
        texts = [[entry.hypothesis for entry in entries] for entries in lists]
        tokens: list[list[list[TokenScores]]] = []  # [model][list][hypothesis]
        for feature in self.features:
            scores = feature.score(sources, texts, self.max_rows)
            stepped += scores.rows_stepped
            positions += scores.positions
            tokens.append(scores.tokens)
        scored = []
        for index, entries in enumerate(lists):
            rows = tuple(tuple(model[index]) for model in tokens)
            sums = [[float(row.sum(dtype=np.float64)) for row in model] for model in rows]
            work = (stepped, positions) if index == 0 else (0, 0)
            scored.append(ScoredList(tuple(entries), np.array(sums).T, rows, *work, self.names))
        return scored

    def _count_unknown(self, entries: Sequence[NBestEntry]) -> None:
        """Count unknown words of the source and of the first hypothesis."""
        text, hypothesis = self.sources[entries[0].id], entries[0].hypothesis
        for feature, (source, target) in zip(self.features, self._unknown, strict=True):
            source.add(feature.source.tokenizer.encode(text), text)
            words = tokens_of(feature.target, hypothesis)
            target.add(words, hypothesis if feature.target.tokenizer.subword else None)


class EarlierScores:
    """Replacement of a ListScorer that takes the scores of an earlier rescoring from the lists.

    Args:
        names: features that every hypothesis has.
        path: name of the n-best file, for messages.
    """

    def __init__(self, names: tuple[str, ...], path: str) -> None:
        self.names = names
        self.path = path

    def score(self, lists: Iterable[list[NBestEntry]]) -> Iterator[ScoredList]:
        """Yield the lists with their scores, in order.

        Raises:
            DataError: a hypothesis lacks a feature; the message names the line.
        """
        for entries in lists:
            scores = [[self._value(entry, name) for name in self.names] for entry in entries]
            yield ScoredList(tuple(entries), np.array(scores), (), 0, 0, self.names)

    def warnings(self) -> list[str]:
        """Return no warnings: no model has read the text."""
        return []

    def _value(self, entry: NBestEntry, name: str) -> float:
        values = dict(entry.features).get(name, ())
        if len(values) != 1:
            message = f"no feature {name}, which `rescore-nbest --format nbest` writes"
            raise DataError(f"{message}; give a --checkpoint", self.path, entry.line)
        return values[0]


def earlier_names(entries: Sequence[NBestEntry]) -> tuple[str, ...]:
    """Return the names of the models' features that an earlier rescoring wrote into a list."""
    present = {name for name, _ in entries[0].features} if entries else set()

    def count(kind: str) -> int:
        return next(index for index in itertools.count() if f"{kind}{index}" not in present)

    return model_names(count(MODEL), count(CHANNEL))
