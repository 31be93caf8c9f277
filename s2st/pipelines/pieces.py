"""What one process computes together, as pieces: the unit in which work is dealt over processes.

A sentence in another batch may differ in the last bits, so a piece is a whole batch: whoever
computes it, it gives the same answers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Answer(Protocol):
    """What a job says to an input line."""

    @property
    def line(self) -> int:
        """The line's index from 0."""


A = TypeVar("A", bound=Answer)


@dataclass(frozen=True)
class Piece(Generic[A]):
    """Lines whose answers are computed together.

    Attributes:
        lines: their indices from 0; no two pieces share one.
        compute: gives the answers, in any order.
    """

    lines: Sequence[int]
    compute: Callable[[], Iterable[A]]


def in_order(chunks: Iterable[Iterable[Piece[A]]]) -> Iterator[A]:
    """Computes the pieces, and yields the answers of a chunk of lines at a time, by line."""
    for pieces in chunks:
        answers = [answer for piece in pieces for answer in piece.compute()]
        yield from sorted(answers, key=lambda answer: answer.line)
