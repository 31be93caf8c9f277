"""IBM model 1 by expectation maximization, on the ids of a store (Brown et al. 1993).

p(target | source) = product over target words t of 1 / (S + 1) * (sum over source words s of
p(t | s)), where S is the number of source words. The empty word, which every source has, is one of
the s. EM cannot end in a worse local optimum, so that it needs no random start: all p(t | s) begin
equal.

The table has an entry for each pair of words that occur in one sentence pair. It is on disk, and
the corpus is read in blocks. So memory does not grow with the corpus.

Letters: C cells, one for each pair of a source word (or the empty word) and a target word of the
same sentence pair; P target words of a block.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.ngram.external_sort import count_keys, mapped
from s2st.text.vocabulary import PAD_ID

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
EMPTY_WORD = PAD_ID  # the id of the empty word, which no text has
LONGEST = 500  # words; longer sentences say little about words, and take most of the time
CELL_BYTES = 100  # of a block, for each cell


@dataclass(frozen=True)
class Model1:
    """A table of translation probabilities.

    Attributes:
        keys: source id * target words + target id, in rising order; the empty word has the id
            EMPTY_WORD.
        probabilities: p(target | source) of each key.
        target_words: size of the target vocabulary.
        perplexities: of the training text by target word, before each iteration.
        skipped: sentence pairs with more than LONGEST words.
    """

    keys: Ids
    probabilities: Floats
    target_words: int
    perplexities: tuple[float, ...]
    skipped: int


@dataclass(frozen=True)
class _Block:
    """The cells of some sentence pairs, ordered by target position.

    Attributes:
        keys: (C,) the pair of words of each cell.
        positions: (C,) the target position of each cell, from 0 in the block.
        starts: (P,) the first cell of each target position.
    """

    keys: Ids
    positions: Ids
    starts: Ids


def train_model1(
    corpora: Sequence[ParallelCorpus],
    words: tuple[int, int],
    iterations: int,
    folder: Path,
    memory: int,
    report: Callable[[int, float], None] = lambda iteration, perplexity: None,
) -> Model1:
    """Estimate the translation probabilities.

    Args:
        corpora: sentence pairs with the same vocabularies.
        words: sizes of the source and of the target vocabulary.
        iterations: number of iterations.
        folder: an empty folder, which must exist as long as the result is used.
        memory: bytes of a block of sentences.
        report: called with the number of each iteration and the perplexity before it.
    """
    cells = max(LONGEST * (LONGEST + 1), memory // CELL_BYTES)

    def blocks() -> Iterator[_Block]:
        for corpus in corpora:
            yield from _blocks(corpus, words[1], cells)

    keys, _ = count_keys((block.keys for block in blocks()), folder, "pairs", cells)
    probabilities: Floats = mapped(folder / "probabilities", "float64", len(keys)).view(np.float64)
    counts: Floats = mapped(folder / "expected", "float64", len(keys)).view(np.float64)
    probabilities[:] = 1 / words[1]
    perplexities = []
    for iteration in range(1, iterations + 1):
        counts[:] = 0
        log_prob, positions = 0.0, 0
        for block in blocks():
            log_prob += _expect(block, keys, probabilities, counts)
            positions += len(block.starts)
        perplexities.append(float(np.exp(-log_prob / max(1, positions))))
        report(iteration, perplexities[-1])
        _maximize(keys, counts, probabilities, words, cells)
    skipped = sum(int((~_short(corpus)).sum()) for corpus in corpora)
    return Model1(keys, probabilities, words[1], tuple(perplexities), skipped)


def _expect(block: _Block, keys: Ids, probabilities: Floats, counts: Floats) -> float:
    """Add the expected counts of a block; return its log-likelihood in nats."""
    distinct, cell_of = np.unique(block.keys, return_inverse=True)
    rows = np.searchsorted(keys, distinct)
    values = probabilities[rows][cell_of]
    sums = np.add.reduceat(values, block.starts)
    values /= sums[block.positions]
    counts[rows] += np.bincount(cell_of, values, minlength=len(rows))
    sources = np.diff(block.starts, append=len(block.keys))
    return float(np.log(sums / sources).sum())


def _maximize(
    keys: Ids, counts: Floats, probabilities: Floats, words: tuple[int, int], piece: int
) -> None:
    """Set the probabilities to the relative frequencies of the expected counts."""
    totals = np.zeros(words[0])
    parts = [slice(first, first + piece) for first in range(0, len(keys), piece)]
    for part in parts:
        totals += np.bincount(keys[part] // words[1], counts[part], minlength=words[0])
    for part in parts:
        probabilities[part] = counts[part] / totals[keys[part] // words[1]]


def _short(corpus: ParallelCorpus) -> npt.NDArray[np.bool_]:
    source, target = corpus.source.lengths(), corpus.target.lengths()
    kept: npt.NDArray[np.bool_] = np.maximum(source, target) <= LONGEST
    return kept


def _blocks(corpus: ParallelCorpus, target_words: int, cells: int) -> Iterator[_Block]:
    """Yield the corpus in blocks of at most `cells` cells."""
    kept = np.flatnonzero(_short(corpus) & (corpus.target.lengths() > 0))
    sizes = (corpus.source.lengths()[kept] + 1) * corpus.target.lengths()[kept]
    ends = np.cumsum(sizes)
    first, before = 0, 0
    while first < len(kept):
        last = int(np.searchsorted(ends, before + cells, side="right"))
        yield _block(corpus, kept[first:last], target_words)
        first, before = last, int(ends[last - 1])


def _block(corpus: ParallelCorpus, sentences: Ids, target_words: int) -> _Block:
    sources, source_lengths = _words(corpus.source, sentences, empty_word=True)
    targets, target_lengths = _words(corpus.target, sentences, empty_word=False)
    begins = np.cumsum(source_lengths) - source_lengths
    # of each target position: the number of cells, and the place of its first source word
    widths = np.repeat(source_lengths, target_lengths)
    places = np.repeat(begins, target_lengths)
    starts = np.cumsum(widths) - widths
    positions = np.repeat(np.arange(len(targets)), widths)
    inside = np.arange(len(positions)) - starts[positions] + places[positions]
    return _Block(sources[inside] * target_words + targets[positions], positions, starts)


def _words(side: Side, sentences: Ids, empty_word: bool) -> tuple[Ids, Ids]:
    """Return the ids of sentences, one after the other, and their lengths."""
    begins, lengths = side.bounds(sentences)
    extra = 1 if empty_word else 0
    widths = lengths + extra
    ends = np.cumsum(widths)
    inside = np.arange(int(ends[-1])) - np.repeat(ends - widths, widths) - extra
    place = np.repeat(begins, widths) + inside
    ids = side.ids[np.maximum(place, 0)].astype(np.int64)
    side.check_range(int(ids.min()), int(ids.max()))
    return np.where(inside < 0, EMPTY_WORD, ids), widths
