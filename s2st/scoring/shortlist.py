"""Vocabulary shortlists: search among the probable words of each sentence only.

The shortlist of a sentence has the special tokens, the most frequent target words, the best
translations of each source word, target words spelled like a source word, and the words of the
sentence's prefix and phrases (Jean et al. 2015, section 3.3; `--shortlist` of Marian).

The softmax of a sentence is over its own shortlist. A batch computes the union of its sentences'
shortlists and masks, for each sentence, the words of the others. So neighbors in a batch do not
change a sentence's probabilities.

Letters: B sentences, N rows being decoded, K words of the union, V words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch
from s2st.lexicon.lexicon_files import Lexicon
from s2st.models.base import DecoderState
from s2st.scoring.base import TextSide
from s2st.text.vocabulary import UNK_ID, Vocabulary

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shortlist:
    """The shortlists of a batch.

    Attributes:
        words: (K,) ids of the union, in rising order; those below `first_word` are all there.
        forbidden: (B, K) True at words that are not in a sentence's shortlist.
    """

    words: torch.Tensor
    forbidden: torch.Tensor

    def to(self, device: torch.device) -> "Shortlist":
        """The shortlists on a device."""
        return Shortlist(self.words.to(device), self.forbidden.to(device))


@dataclass(frozen=True)
class NarrowState(DecoderState):
    """A scorer's state, and the sentence (N,) of each row."""

    inner: DecoderState
    sentences: torch.Tensor

    def select(self, rows: torch.Tensor) -> "NarrowState":
        """Selects the rows of both."""
        return NarrowState(self.inner.select(rows), self.sentences[rows])


class Shortlists:
    """Makes the shortlists of batches from word translations.

    Args:
        lexicon: word translations, with the ids of `source` and `target`.
        source, target: the vocabularies of the scorer.
        first: number of frequent target words that every sentence has.
        best: number of translations of each source word.
        least: lowest probability of a translation.

    Attributes:
        covered: number of source words that have a translation.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        source: Vocabulary,
        target: Vocabulary,
        first: int,
        best: int,
        least: float = 0.0,
    ) -> None:
        words = lexicon.target >= target.first_word  # every sentence has the others
        sources, targets, probabilities = (
            column[words] for column in (lexicon.source, lexicon.target, lexicon.probabilities())
        )
        begins = np.searchsorted(sources, np.arange(len(source)))
        rank = np.arange(len(sources)) - begins[sources]
        kept = (rank < best) & (probabilities >= least)
        spelled = source.mapping_to(target)
        same = np.flatnonzero(spelled != UNK_ID)
        keys = np.concatenate([sources[kept], same]) * len(target)
        keys = np.unique(keys + np.concatenate([targets[kept], spelled[same]]))
        self._targets = keys % len(target)
        self._offsets = np.searchsorted(keys, np.arange(len(source) + 1) * len(target))
        self._always = np.arange(min(len(target), target.first_word + first))
        self._size = len(target)
        self.covered = len(np.unique(sources[kept]))

    def of(self, source: SourceBatch) -> Shortlist:
        """The shortlists of a batch, with the words of its prefixes and phrases."""
        tokens = source.tokens.cpu().numpy()
        rows = np.repeat(np.arange(len(tokens)), tokens.shape[1])
        pairs = np.unique(rows * len(self._offsets) + tokens.ravel())  # each word once
        rows, words = pairs // len(self._offsets), pairs % len(self._offsets)
        counts = self._offsets[words + 1] - self._offsets[words]
        inside = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        targets = self._targets[np.repeat(self._offsets[words], counts) + inside]
        demanded = [(row, word) for row, ids in enumerate(_demanded(source)) for word in ids]
        more = np.array(demanded, dtype=np.int64).reshape(-1, 2)
        rows = np.concatenate([np.repeat(rows, counts), more[:, 0]])
        targets = np.concatenate([targets, more[:, 1]])
        union = np.union1d(self._always, targets)
        forbidden = np.ones((len(tokens), len(union)), dtype=bool)
        forbidden[:, : len(self._always)] = False  # the lowest ids
        forbidden[rows, np.searchsorted(union, targets)] = False
        return Shortlist(torch.from_numpy(union), torch.from_numpy(forbidden))


def _demanded(source: SourceBatch) -> list[list[int]]:
    """The target ids of each sentence's prefix and phrases."""
    found: list[list[int]] = [[] for _ in range(len(source))]
    for row, prefix in enumerate(source.prefixes):
        found[row] += prefix
    for row, phrases in enumerate(source.constraints):
        found[row] += [word for phrase in phrases for word in phrase]
    return found


def narrowed_side(side: TextSide, words: torch.Tensor) -> TextSide:
    """The side with the words of a shortlist only, whose ids are their places in it."""
    vocabulary = side.vocabulary
    ids = words.tolist()[vocabulary.first_word :]
    small = Vocabulary(
        [vocabulary.tokens[i] for i in ids], [vocabulary.counts[i] for i in ids],
        list(vocabulary.tags),
    )  # fmt: skip
    return replace(side, vocabulary=small)


def narrowed_source(source: SourceBatch, shortlist: Shortlist) -> SourceBatch:
    """The batch with the shortlist's ids in its prefixes and phrases."""
    words = shortlist.words.cpu().numpy()

    def places(ids: Sequence[int]) -> tuple[int, ...]:
        found: list[int] = np.searchsorted(words, np.array(ids, dtype=np.int64)).tolist()
        return tuple(found)

    return replace(
        source,
        prefixes=tuple(map(places, source.prefixes)),
        constraints=tuple(tuple(map(places, phrases)) for phrases in source.constraints),
    )
