"""An n-best list with the models' scores: the record that scoring passes to ranking and tuning."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from s2st.rescoring.array_pile import ArrayPile
from s2st.text.nbest_lists import NBestEntry

TokenScores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoredList:
    """One list of n hypotheses, in the order of the file, with the scores of K models.

    Attributes:
        entries: the hypotheses, at least one, as read.
        model_scores: (n, K) log-probabilities in nats, one column per model.
        token_scores: [model][hypothesis] -> log-probability of each token, EOS last.
        rows_stepped, positions: decoder positions computed, and those without shared prefixes.
        names: names of the K features.
        consensus: (n,) BLEU or chrF of each hypothesis against the others, in percent; None if it
            is no feature.
    """

    entries: tuple[NBestEntry, ...]
    model_scores: npt.NDArray[np.float64]
    token_scores: tuple[tuple[TokenScores, ...], ...]
    rows_stepped: int
    positions: int
    names: tuple[str, ...] = ()
    consensus: npt.NDArray[np.float64] | None = None

    @property
    def id(self) -> int:
        """Sentence number from 0."""
        return self.entries[0].id

    @property
    def totals(self) -> list[float]:
        """The baseline's total of each hypothesis."""
        return [entry.total for entry in self.entries]


class KeptScores:
    """The scores of lists between two passes over their file, without text.

    Args:
        memory: bytes of scores to keep in memory; see ArrayPile.
        words: whether to keep the scores of words, which always stay in memory.
    """

    def __init__(self, memory: int, words: bool) -> None:
        self._scores = ArrayPile(np.float64, memory)
        self._words = words
        self._lists: list[ScoredList] = []
        self._sizes: list[int] = []

    def append(self, item: ScoredList) -> None:
        """Keep the scores of one list."""
        self._sizes.append(len(item.entries))
        self._scores.append(item.model_scores)
        if item.consensus is not None:
            self._scores.append(item.consensus)
        nothing = np.zeros((0, len(item.names)))
        # of the consensus, only its presence: the values are in the pile
        mark = None if item.consensus is None else np.zeros(0)
        tokens = item.token_scores if self._words else ()
        self._lists.append(
            replace(item, entries=(), model_scores=nothing, consensus=mark, token_scores=tokens)
        )

    def restored(self, lists: Iterable[Sequence[NBestEntry]]) -> Iterator[ScoredList]:
        """Yield the lists with their scores; `lists` are the same lists, read again."""
        flat = self._scores.finish()
        start = 0
        for entries, item, size in zip(lists, self._lists, self._sizes, strict=True):
            end = start + size * len(item.names)
            scores = flat[start:end].reshape(size, len(item.names))
            consensus = item.consensus
            if consensus is not None:
                consensus, end = flat[end : end + size], end + size
            yield replace(item, entries=tuple(entries), model_scores=scores, consensus=consensus)
            start = end
