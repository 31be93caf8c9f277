"""Phrases that a hypothesis must contain, in any order and possibly overlapping.

`PhraseTracker` follows the words of a hypothesis through its sentence's phrases. The restriction
keeps EOS back until every phrase is there, and forbids words after which the rest of the phrases
would no longer fit the length limit. So every search gives hypotheses with all phrases. Beam search
also divides its beam by progress (Post & Vilar 2018, dynamic beam allocation).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from s2st.search.restriction import Restriction
from s2st.text.vocabulary import EOS_ID, PAD_ID

Phrase = tuple[int, ...]
MAX_EXACT = 7  # phrases for which all orders are tried; `needed` of more is an upper bound
OTHER = -1  # stands for every word that is in no phrase


class Progress(NamedTuple):
    """Place in the phrases: the longest end of the words that begins an open phrase, and a bit for
    each phrase that has occurred."""

    begun: Phrase
    met: int


START = Progress((), 0)


class PhraseTracker:
    """The phrases of one sentence.

    Args:
        phrases: ids of each phrase, without EOS; none is empty.

    Attributes:
        phrases: the phrases without repetitions.
        words: the words that occur in them.
        total: sum of their lengths.
    """

    def __init__(self, phrases: Sequence[Phrase]) -> None:
        self.phrases = tuple(dict.fromkeys(phrases))
        self.words = tuple(dict.fromkeys(word for phrase in self.phrases for word in phrase))
        self.total = sum(map(len, self.phrases))
        self._next: dict[tuple[Progress, int], Progress] = {}
        self._needed: dict[Progress, int] = {}
        self._wanted: dict[Progress, tuple[int, ...]] = {}
        self._known = frozenset(self.words)

    def follow(self, place: Progress, word: int) -> Progress:
        """The place after one more word."""
        key = place, word if word in self._known else OTHER
        if key not in self._next:
            self._next[key] = self._follow(*key)
        return self._next[key]

    def after(self, words: Sequence[int]) -> Progress:
        """The place after these words."""
        place = START
        for word in words:
            place = self.follow(place, word)
        return place

    def needed(self, place: Progress) -> int:
        """Fewest further words with which all phrases have occurred.

        With more than MAX_EXACT phrases left, this can be too many where phrases overlap.
        """
        if place not in self._needed:
            self._needed[place] = self._fewest(place)
        return self._needed[place]

    def wanted(self, place: Progress) -> tuple[int, ...]:
        """Words that bring the phrases nearer."""
        if place not in self._wanted:
            now = self.needed(place)
            self._wanted[place] = tuple(
                word for word in self.words if self.needed(self.follow(place, word)) < now
            )
        return self._wanted[place]

    def fitting(self, place: Progress, room: int) -> list[int]:
        """Words of the phrases after which the rest needs at most `room` words."""
        return [word for word in self.words if self.needed(self.follow(place, word)) <= room]

    def done(self, place: Progress) -> int:
        """Words of the phrases that are there."""
        return self.needed(START) - self.needed(place)

    def _open(self, met: int) -> list[Phrase]:
        return [phrase for i, phrase in enumerate(self.phrases) if not met >> i & 1]

    def _follow(self, place: Progress, word: int) -> Progress:
        words, met = (*place.begun, word), place.met
        for i, phrase in enumerate(self.phrases):
            if words[-len(phrase) :] == phrase:
                met |= 1 << i
        overlaps = (_overlap(words, phrase) for phrase in self._open(met))
        longest = max(overlaps, default=0)
        return Progress(words[len(words) - longest :], met)

    def _fewest(self, place: Progress) -> int:
        phrases = self._open(place.met)
        if not phrases:
            return 0
        if len(phrases) > MAX_EXACT:  # first the phrase that is nearest to its end
            phrases = [max(phrases, key=lambda phrase: _overlap(place.begun, phrase))]
        costs = []
        for phrase in phrases:
            rest, after = phrase[_overlap(place.begun, phrase) :], place
            for word in rest:
                after = self.follow(after, word)
            costs.append(len(rest) + self.needed(after))
        return min(costs)


class PhraseConstraints(Restriction):
    """Hypotheses must contain the phrases of their sentence.

    Args:
        trackers: the phrases of each row; None for a row without any.
        limits: (N,) maximum words of each row, on the CPU.
        device: device of the log-probabilities.
    """

    def __init__(
        self,
        trackers: Sequence[PhraseTracker | None],
        limits: torch.Tensor,
        device: torch.device,
    ) -> None:
        self._device = device
        self._trackers = list(trackers)
        self._limits: list[int] = limits.tolist()
        self._places = [START] * len(self._trackers)
        self._step = 0
        self._want()

    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Forbids EOS while a phrase is missing, and words that leave too little room."""
        unfinished = []
        for row, index in enumerate(range(*part.indices(len(self._trackers)))):
            tracker, place = self._trackers[index], self._places[index]
            if tracker is None or not tracker.needed(place):
                continue
            unfinished.append(row)
            room = self._limits[index] - self._step - 1  # after the next word
            if room >= tracker.total:
                continue
            fitting = tracker.fitting(place, room)
            values = log_probs[row, fitting]
            if tracker.needed(tracker.follow(place, OTHER)) > room:
                log_probs[row] = -torch.inf
            else:
                log_probs[row, list(tracker.words)] = -torch.inf
            log_probs[row, fitting] = values
        log_probs[unfinished, EOS_ID] = -torch.inf

    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> "PhraseConstraints":
        """Follows each row's word through its phrases."""
        chosen: list[int] = rows.tolist()
        new = object.__new__(PhraseConstraints)
        new._device = self._device
        new._trackers = [self._trackers[row] for row in chosen]
        new._limits = [self._limits[row] for row in chosen]
        new._places = [self._places[row] for row in chosen]
        new._step = self._step
        if words is not None:
            new._step += 1
            new._places = [
                place if tracker is None else tracker.follow(place, word)
                for tracker, place, word in zip(
                    new._trackers, new._places, words.tolist(), strict=True
                )
            ]
        new._want()
        return new

    def progress(self, words: torch.Tensor) -> torch.Tensor:
        """(N, K) words of the phrases that each row has after each of its words."""
        table = [
            [0] * words.shape[1]
            if tracker is None
            else [
                tracker.done(place if word == EOS_ID else tracker.follow(place, word))
                for word in row
            ]
            for tracker, place, row in zip(
                self._trackers, self._places, words.tolist(), strict=True
            )
        ]
        return torch.tensor(table, dtype=torch.int64, device=self._device).view(words.shape)

    def _want(self) -> None:
        wanted = [
            () if tracker is None else tracker.wanted(place)
            for tracker, place in zip(self._trackers, self._places, strict=True)
        ]
        width = max(map(len, wanted), default=0)
        padded = [[*words, *[PAD_ID] * (width - len(words))] for words in wanted]
        table = torch.tensor(padded, dtype=torch.int64).view(len(wanted), width)
        self.wanted = table.to(self._device)


def phrase_trackers(
    constraints: Sequence[Sequence[Phrase]],
) -> list[PhraseTracker | None]:
    """A tracker for each sentence; None for a sentence without phrases."""
    return [PhraseTracker(phrases) if phrases else None for phrases in constraints]


def _overlap(words: Sequence[int], phrase: Phrase) -> int:
    """Length of the longest end of the words that begins the phrase and is shorter than it."""
    for length in range(min(len(words), len(phrase) - 1), 0, -1):
        if tuple(words[len(words) - length :]) == phrase[:length]:
            return length
    return 0
