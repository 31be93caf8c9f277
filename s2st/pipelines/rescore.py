"""Scoring and ranking SMT n-best lists, the work behind `s2st rescore-nbest`.

The paper's way (section 3.3): the log-probability of every hypothesis under the model, an even
average with the system's own score, the best one wins. Lists are streamed: a few are in memory at
a time, and which ones are scored together does not depend on where a run starts.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s2st.device import naming_memory
from s2st.errors import DataError, UsageError
from s2st.pipelines.journal import Journal
from s2st.pipelines.scored import ScoredList, TokenScores
from s2st.rescoring.checks import UnknownWords
from s2st.rescoring.weights import (
    BASELINE,
    CHANNEL,
    LENGTH,
    MODEL,
    Features,
    Weights,
    model_names,
)
from s2st.scoring.features import ListFeature, tokens_of
from s2st.scoring.lists import MAX_PADDED_SOURCE
from s2st.text.lines import split_words
from s2st.text.nbest import NBestEntry

BLOCK = 64  # source lines; lists of different blocks are never scored together


@dataclass(frozen=True)
class RankedList:
    """One list with new features and totals.

    The baseline's total is kept as the feature `Baseline`; features of an earlier rescoring are
    replaced.

    Attributes:
        entries: the hypotheses with new features and totals, in the order of the file.
        best: index of the highest total, the first of equals; not finite ranks last.
    """

    scored: ScoredList
    entries: tuple[NBestEntry, ...]
    best: int

    @property
    def id(self) -> int:
        """Sentence number from 0."""
        return self.scored.id

    def order(self) -> list[int]:
        """Indices of the entries, best first; equals stay in order."""
        return sorted(range(len(self.entries)), key=lambda i: -_key(self.entries[i].total))


class ListScorer:
    """Computes the models' scores of n-best lists.

    Args:
        features: at least one new feature.
        sources: text of source line i at index i.
        max_rows: prefixes stepped together; bounds the memory.
        path: name of the n-best file, for messages.
        journal: knows the scores that an earlier run made, and notes those of this one.
    """

    def __init__(
        self,
        features: Sequence[ListFeature],
        sources: Sequence[str],
        max_rows: int,
        path: str,
        journal: Journal | None = None,
    ) -> None:
        self.features = features
        self.names = tuple(feature.name for feature in features)
        self.sources = sources
        self.max_rows = max_rows
        self.path = path
        self.journal = journal
        self._unknown = [
            tuple(UnknownWords(side.vocabulary, side.tokenizer) for side in (f.source, f.target))
            for f in features
        ]

    def score(self, lists: Iterable[list[NBestEntry]]) -> Iterator[ScoredList]:
        """Yields the lists with their scores, in order.

        Raises:
            DataError: an id that no source line has, naming the line.
            OutOfMemoryError: naming the lines.
        """
        pending: list[list[NBestEntry]] = []
        waiting = longest = 0
        for entries in lists:
            if entries[0].id >= len(self.sources):
                count = len(self.sources)
                message = f"id {entries[0].id} but the source has {count} lines (ids from 0)"
                raise DataError(message, self.path, entries[0].line)
            self._look_at(entries)
            if self.journal is not None and not pending:
                known = self.journal.take(entries, self.sources[entries[0].id])
                if known is not None:
                    yield replace(known, names=self.names)
                    continue
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
        """What is wrong with the text that was scored, one line each."""
        found = []
        for name, (source, target) in zip(self.names, self._unknown, strict=True):
            of = f" ({name})" if len(self.names) > 1 else ""
            found += [source.warning(f"the source{of}"), target.warning(f"the hypotheses{of}")]
        return [text for text in found if text is not None]

    def _score_together(self, lists: Sequence[list[NBestEntry]]) -> Iterator[ScoredList]:
        lines = f"{lists[0][0].line} to {lists[-1][-1].line}"
        with naming_memory(f"{self.path}, lines {lines}"):
            scored = self._scores(lists)
        if self.journal is not None:
            self.journal.add(scored, self.sources)
        yield from scored

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
            own = tuple(tuple(model[index]) for model in tokens)
            sums = [[float(row.sum(dtype=np.float64)) for row in model] for model in own]
            share = (stepped, positions) if index == 0 else (0, 0)
            scored.append(ScoredList(tuple(entries), np.array(sums).T, own, *share, self.names))
        return scored

    def _look_at(self, entries: Sequence[NBestEntry]) -> None:
        """Counts unknown words of the source and of the first hypothesis."""
        text, hypothesis = self.sources[entries[0].id], entries[0].hypothesis
        for feature, (source, target) in zip(self.features, self._unknown, strict=True):
            source.add(feature.source.tokenizer.encode(text), text)
            words, cut = tokens_of(feature.target, hypothesis), feature.target.tokenizer.subword
            target.add(words, hypothesis if cut else None)


class EarlierScores:
    """Stands in for a ListScorer: the scores that an earlier rescoring wrote into the lists.

    Args:
        names: of the features that every hypothesis has beside Baseline.
        path: name of the n-best file, for messages.
    """

    def __init__(self, names: tuple[str, ...], path: str) -> None:
        self.names = names
        self.path = path

    def restored(self, lists: Iterable[list[NBestEntry]]) -> Iterator[list[NBestEntry]]:
        """The lists with the totals that they had before that rescoring.

        Raises:
            DataError: a hypothesis lacks its score, naming the line.
        """
        for entries in lists:
            yield [replace(entry, total=self._taken(entry, BASELINE)) for entry in entries]

    def score(self, lists: Iterable[list[NBestEntry]]) -> Iterator[ScoredList]:
        """Yields the lists with their scores, in order; raises DataError as `restored`."""
        for entries in lists:
            scores = [[self._taken(entry, name) for name in self.names] for entry in entries]
            yield ScoredList(tuple(entries), np.array(scores), (), 0, 0, self.names)

    def warnings(self) -> list[str]:
        """None: no text was read by a model."""
        return []

    def _taken(self, entry: NBestEntry, name: str) -> float:
        values = dict(entry.features).get(name, ())
        if len(values) != 1:
            message = f"no feature {name}, which `rescore-nbest --output nbest` writes"
            raise DataError(f"{message}; name a --checkpoint", self.path, entry.line)
        return values[0]


def earlier_names(entries: Sequence[NBestEntry]) -> tuple[str, ...]:
    """The models' features that an earlier rescoring wrote into a list."""
    there = {name for name, _ in entries[0].features} if entries else set()

    def count(kind: str) -> int:
        return next(index for index in itertools.count() if f"{kind}{index}" not in there)

    return model_names(count(MODEL), count(CHANNEL))


def shard_lines(shard: str | None, count: int) -> range:
    """Source lines of the I-th of N parts, of whole blocks, so that parts do not change scores.

    Args:
        shard: "I/N" with I from 1, or None for all lines.
        count: lines of the source.

    Raises:
        UsageError: not of that form.
    """
    if shard is None:
        return range(count)
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) < 10**6):
        raise UsageError(f"--shard {shard}: give I/N, such as 1/4, with I from 1 to N")
    blocks = -(-count // BLOCK)
    first, end = (min(count, blocks * i // int(parts) * BLOCK) for i in (int(part) - 1, int(part)))
    return range(first, end)


def features_of(scored: ScoredList, length: bool) -> list[Features]:
    """Every hypothesis' features: its own, Baseline, one a model and, if asked, the length."""
    names = scored.names
    replaced = {BASELINE, LENGTH, *names}
    made = []
    for entry, row in zip(scored.entries, scored.model_scores.tolist(), strict=True):
        old = tuple(feature for feature in entry.features if feature[0] not in replaced)
        new: Features = ((BASELINE, (entry.total,)),)
        new += tuple((name, (value,)) for name, value in zip(names, row, strict=True))
        if length:
            new += ((LENGTH, (float(len(split_words(entry.hypothesis))),)),)
        made.append(old + new)
    return made


def rank(scored: ScoredList, weights: Weights, length: bool, centered: bool) -> RankedList:
    """Totals of a list's hypotheses under the weights, less the list's mean if `centered`."""
    features = features_of(scored, length)
    totals = [weights.total(own) for own in features]
    if centered:
        finite = [total for total in totals if math.isfinite(total)]
        mean = sum(finite) / max(1, len(finite))
        totals = [total - mean for total in totals]
    entries = tuple(
        replace(entry, features=own, total=total)
        for entry, own, total in zip(scored.entries, features, totals, strict=True)
    )
    best = max(range(len(entries)), key=lambda i: (_key(totals[i]), -i))
    return RankedList(scored, entries, best)


def _key(total: float) -> float:
    """Totals that are not finite rank last."""
    return total if math.isfinite(total) else -math.inf
