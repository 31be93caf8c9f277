"""The job of `s2st score --checkpoint`: log-probabilities of given pairs of lines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from s2st.data.batch import make_batch, make_source
from s2st.data.batching import BatchingConfig, plan_in_order
from s2st.device import naming_memory
from s2st.errors import describe_lines
from s2st.scoring.base import Scorer
from s2st.scoring.lists import MAX_PADDED_SOURCE, score_lists
from s2st.text.vocabulary import UNK_ID

CHUNK_PAIRS = 4096
MAX_ROWS = 2048
BATCHING = BatchingConfig(batch_size=128, max_tokens=8192)
SOURCES = BatchingConfig(batch_size=MAX_ROWS, max_tokens=MAX_PADDED_SOURCE)  # shared ones


@dataclass(frozen=True)
class PairScore:
    """log p(target | source) of one pair of lines, in nats.

    Attributes:
        line: index from 0.
        tokens: the target's tokens, EOS not among them.
        token_log_probs: one value a token and, last, EOS's.
        log_prob: their sum.
        unknown: target tokens that are not in the vocabulary.
    """

    line: int
    tokens: tuple[str, ...]
    token_log_probs: tuple[float, ...]
    log_prob: float
    unknown: int


def score_pairs(scorer: Scorer, pairs: Iterable[tuple[str, ...]]) -> Iterator[PairScore]:
    """Yields one score a (source, target) pair of lines, in order.

    Raises:
        OutOfMemoryError: naming the lines.
    """
    iterator = iter(pairs)
    first = 0
    while chunk := list(islice(iterator, CHUNK_PAIRS)):
        yield from _score_chunk(scorer, chunk, first)
        first += len(chunk)


def _score_chunk(
    scorer: Scorer, pairs: Sequence[tuple[str, ...]], first: int
) -> Iterator[PairScore]:
    source, target = scorer.source, scorer.target
    sources = [source.vocabulary.encode(source.tokenizer.encode(pair[0])) for pair in pairs]
    words = [target.tokenizer.encode(pair[1]) for pair in pairs]
    targets = [target.vocabulary.encode(tokens) for tokens in words]
    rows = _score_ids(scorer, sources, targets, first)
    for index in range(len(pairs)):
        yield PairScore(
            line=first + index,
            tokens=tuple(words[index]),
            token_log_probs=tuple(rows[index]),
            log_prob=sum(rows[index]),
            unknown=targets[index].count(UNK_ID),
        )


def _score_ids(
    scorer: Scorer, sources: Sequence[list[int]], targets: Sequence[list[int]], first: int
) -> Mapping[int, list[float]]:
    """For each pair, by index, its words' log-probabilities.

    Where most pairs share their source with another, prefixes of targets are shared too.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, source in enumerate(sources):
        groups.setdefault(tuple(source), []).append(index)
    if len(groups) <= len(sources) // 2:
        return _score_groups(scorer, groups, targets, first)
    rows: dict[int, list[float]] = {}
    lengths = np.array(
        [max(len(s), len(t)) for s, t in zip(sources, targets, strict=True)], dtype=np.int64
    )
    for indices in plan_in_order(lengths, BATCHING):
        chosen = indices.tolist()
        with naming_memory(describe_lines((first + i for i in chosen), int(lengths[chosen[0]]))):
            pairs = make_batch([sources[i] for i in chosen], [targets[i] for i in chosen], chosen)
            found = scorer.score(pairs).tolist()
        for index, row in zip(chosen, found, strict=True):
            rows[index] = row[: len(targets[index]) + 1]
    return rows


def _score_groups(
    scorer: Scorer,
    groups: Mapping[tuple[int, ...], list[int]],
    targets: Sequence[list[int]],
    first: int,
) -> Mapping[int, list[float]]:
    """The same for targets grouped by their source."""
    sources = list(groups)
    rows: dict[int, list[float]] = {}
    for indices in plan_in_order(np.array([len(s) for s in sources], dtype=np.int64), SOURCES):
        part = [sources[i] for i in indices.tolist()]
        lines = [groups[source] for source in part]
        lists = [[targets[i] for i in group] for group in lines]
        flat = list(chain.from_iterable(lines))
        longest = max(len(part[0]), *(len(targets[i]) for i in flat))
        with naming_memory(describe_lines((first + i for i in flat), longest)):
            batch = make_source(part, range(len(part)))
            found = score_lists(scorer, batch, lists, MAX_ROWS).token_log_probs
        for group, scores in zip(lines, found, strict=True):
            rows.update(zip(group, (row.tolist() for row in scores), strict=True))
    return rows
