"""The job of `s2st generate`: lines of text in, translations out, line i for line i."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from s2st.data.batch import make_source
from s2st.data.batching import BatchingConfig, plan_in_order
from s2st.device import naming_memory
from s2st.errors import describe_lines
from s2st.pipelines.pieces import Piece, in_order
from s2st.rescoring.checks import UnknownWords
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search

log = logging.getLogger("s2st")
MAX_PADDED_TOKENS = 20_000  # of a batch: bounds the encoder's memory on very long lines
MAX_ROWS = 2048  # of a search, one sentence's if it has more: bounds the memory of wide beams


@dataclass(frozen=True)
class Translation:
    """One input line and its hypotheses, best first; an empty line has one empty hypothesis.

    Attributes:
        line: index of the line from 0.
        texts: the hypotheses as text, detokenised or not.
    """

    line: int
    source: str
    hypotheses: tuple[Hypothesis, ...]
    texts: tuple[str, ...]


EMPTY = Hypothesis((), (), 0.0, 0.0, True)


def translate(
    scorer: Scorer,
    search: Search,
    chunks: Iterable[Sequence[str]],
    batch_size: int | None,
    detokenize: bool,
    start: int = 0,
) -> Iterator[Translation]:
    """Yields one Translation a line, in the order of the lines; see `plan`."""
    return in_order(plan(scorer, search, chunks, batch_size, detokenize, start))


def plan(
    scorer: Scorer,
    search: Search,
    chunks: Iterable[Sequence[str]],
    batch_size: int | None,
    detokenize: bool,
    start: int = 0,
) -> Iterator[list[Piece[Translation]]]:
    """Yields the batches of each chunk; computing one raises OutOfMemoryError, naming the lines.

    Args:
        scorer, search: the models and the strategy.
        chunks: lines, as many at a time as may wait for each other; each chunk is sorted by
            length into batches.
        batch_size: sentences decoded together at most; None leaves it to the bounds of memory.
        detokenize: join tokens to text, or leave a space between them.
        start: the first line that is wanted. Lines before it are not translated, or only where
            they share a batch with one that is.
    """
    unknown = UnknownWords(scorer.source.vocabulary)
    most = max(1, MAX_ROWS // search.rows_per_sentence)
    config = BatchingConfig(batch_size=min(batch_size or most, most), max_tokens=MAX_PADDED_TOKENS)
    first = 0
    for chunk in chunks:
        end = first + len(chunk)
        if end > start:
            words = [scorer.source.tokenizer.encode(line) for line in chunk]
            for line in words:
                unknown.add(line)
            rows = [scorer.source.vocabulary.encode(line) for line in words]
            full = np.array([index for index, row in enumerate(rows) if row], dtype=np.int64)
            lengths = np.array([len(rows[index]) for index in full], dtype=np.int64)
            batches = [full[batch].tolist() for batch in plan_in_order(lengths, config)]
            batches.append([index for index, row in enumerate(rows) if not row])
            yield [
                Piece(
                    [first + index for index in indices],
                    partial(
                        _translate_batch, scorer, search, chunk, rows, indices, first, detokenize
                    ),
                )
                for indices in batches
                if indices and first + max(indices) >= start
            ]
        first = end
    warning = unknown.warning("the input")
    if warning is not None:
        log.warning(warning)


def _translate_batch(
    scorer: Scorer,
    search: Search,
    chunk: Sequence[str],
    rows: Sequence[list[int]],
    indices: Sequence[int],
    first: int,
    detokenize: bool,
) -> Iterator[Translation]:
    """The translations of some lines of a chunk that starts at line `first`: all empty, or none."""
    numbers = [first + index for index in indices]
    chosen = [rows[index] for index in indices]
    found: Sequence[Sequence[Hypothesis]] = [[EMPTY]] * len(indices)
    if chosen[0]:
        with naming_memory(describe_lines(numbers, max(map(len, chosen)))):
            found = search(scorer, make_source(chosen, numbers))
    for number, index, hypotheses in zip(numbers, indices, found, strict=True):
        texts = tuple(hypothesis_text(scorer, h, detokenize) for h in hypotheses)
        yield Translation(number, chunk[index], tuple(hypotheses), texts)


def hypothesis_text(scorer: Scorer, hypothesis: Hypothesis, detokenize: bool) -> str:
    """The text of a hypothesis; without detokenizing, its tokens with a space between."""
    words = scorer.target.vocabulary.decode(hypothesis.tokens)
    return scorer.target.tokenizer.decode(words) if detokenize else " ".join(words)
