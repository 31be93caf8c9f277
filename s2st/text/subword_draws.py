"""Draws of segmentations for subword regularization, from a model's pieces and their scores.

SentencePiece draws itself, but version 0.2.3 does not repeat a draw in another process, whatever
its seed. So only the pieces and scores are the package's.
"""

import math
import random
from bisect import bisect
from collections.abc import Mapping

from s2st.text.tokenizers import SPACE_SIGN

KEPT_WORDS = 30_000
KEPT_LENGTH = 32  # characters; longer words, such as sentences without spaces, hardly return


class UnigramDraws:
    """Draws a segmentation x of a text with probability proportional to p(x)**alpha.

    Kudo (2018), equation 8, over all segmentations, by forward filtering and backward sampling.

    Args:
        scores: natural-log probability of every piece.
        alpha: exponent of the probabilities.
    """

    def __init__(self, scores: Mapping[str, float], alpha: float) -> None:
        self._scores = scores
        self._alpha = alpha
        self._longest = max(map(len, scores), default=0)
        self._tables: dict[str, list[_Ends]] = {}

    def draw(self, text: str, generator: random.Random) -> list[str] | None:
        """Return drawn pieces of a text, None if the pieces cannot spell the text."""
        table = self._tables.get(text)
        if table is None:
            table = self._table(text)
            if len(self._tables) >= KEPT_WORDS:
                self._tables.clear()
            if len(text) <= KEPT_LENGTH:
                self._tables[text] = table
        end, pieces = len(text), []
        while end:
            starts, sums = table[end]
            if not starts:
                return None
            start = starts[min(bisect(sums, generator.random()), len(starts) - 1)]
            pieces.append(text[start:end])
            end = start
        return pieces[::-1]

    def _table(self, text: str) -> "list[_Ends]":
        """Return, for each end, where its last piece can start, with cumulative probabilities."""
        totals = [0.0]  # log of the summed weights of all segmentations of text[:end]
        table: list[_Ends] = [((), ())]
        for end in range(1, len(text) + 1):
            starts, weights = [], []
            for start in range(max(0, end - self._longest), end):
                score = self._scores.get(text[start:end])
                if score is not None and totals[start] > -math.inf:
                    starts.append(start)
                    weights.append(totals[start] + self._alpha * score)
            if not starts:
                totals.append(-math.inf)
                table.append(((), ()))
                continue
            top = max(weights)
            shares = [math.exp(weight - top) for weight in weights]
            total = math.fsum(shares)
            totals.append(top + math.log(total))
            sums, so_far = [], 0.0
            for share in shares:
                so_far += share / total
                sums.append(so_far)
            table.append((tuple(starts), tuple(sums)))
        return table


_Ends = tuple[tuple[int, ...], tuple[float, ...]]


class BpeDraws:
    """Merges characters as BPE does, and leaves out merges at random (Provilkov et al. 2020).

    Each step leaves out each possible merge with probability `dropout`, and makes the best merge
    that is left, up to the step in which none is left.

    Args:
        scores: score of every piece that a merge can make; larger is merged earlier.
    """

    def __init__(self, scores: Mapping[str, float]) -> None:
        self._scores = scores
        self._plain: dict[str, list[str]] = {}

    def plain(self, text: str) -> list[str]:
        """Return the segmentation with all merges."""
        found = self._plain.get(text)
        if found is None:
            found = self._merged(text, 0.0, None)
            if len(self._plain) >= KEPT_WORDS:
                self._plain.clear()
            if len(text) <= KEPT_LENGTH:
                self._plain[text] = found
        return found

    def draw(self, text: str, dropout: float, generator: random.Random) -> list[str]:
        """Return the segmentation with some merges left out."""
        return self._merged(text, dropout, generator)

    def _merged(self, text: str, dropout: float, generator: random.Random | None) -> list[str]:
        pieces = list(text)
        while len(pieces) > 1:
            best, place = -math.inf, -1
            for i in range(len(pieces) - 1):
                score = self._scores.get(pieces[i] + pieces[i + 1])
                if score is None or score <= best:
                    continue
                if generator is None or generator.random() >= dropout:
                    best, place = score, i
            if place < 0:
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return pieces


def words_of(text: str) -> list[str]:
    """Split pieces' text before each space sign that follows another character."""
    words: list[str] = []
    start = 0
    for place in range(1, len(text)):
        if text[place] == SPACE_SIGN and text[place - 1] != SPACE_SIGN:
            words.append(text[start:place])
            start = place
    return [*words, text[start:]] if text else []
