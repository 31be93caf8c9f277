"""The job of `s2st score --checkpoint`: log-probabilities of given pairs of lines."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from s2st.data.batch import make_batch
from s2st.data.batching import BatchingConfig, plan_in_order
from s2st.scoring.base import Scorer
from s2st.text.vocabulary import UNK_ID

CHUNK_PAIRS = 4096
BATCHING = BatchingConfig(batch_size=128, max_tokens=8192)


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
    """Yields one score a (source, target) pair of lines, in order."""
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
    lengths = np.array(
        [max(len(s), len(t)) for s, t in zip(sources, targets, strict=True)], dtype=np.int64
    )
    rows: dict[int, list[float]] = {}
    for indices in plan_in_order(lengths, BATCHING):
        chosen = indices.tolist()
        batch = make_batch([sources[i] for i in chosen], [targets[i] for i in chosen], chosen)
        for index, row in zip(chosen, scorer.score(batch).tolist(), strict=True):
            rows[index] = row[: len(targets[index]) + 1]
    for index in range(len(pairs)):
        yield PairScore(
            line=first + index,
            tokens=tuple(words[index]),
            token_log_probs=tuple(rows[index]),
            log_prob=sum(rows[index]),
            unknown=targets[index].count(UNK_ID),
        )
