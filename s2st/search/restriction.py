"""The interface of one restriction of a search; see `restrictions.py`."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch


class Required(NamedTuple):
    """(K,) rows of a table, and the only word that may come in each, whatever other rules say."""

    rows: torch.Tensor
    words: torch.Tensor


class Restriction(ABC):
    """A rule about the words that may follow in N rows. It knows what it needs about each row.

    Attributes:
        penalizes: whether `mask` lowers log-probabilities to numbers above -inf; `unmask` then
            returns the scorer's own.
        wanted: (N, W) words that a beam search must consider besides the best ones, padded with
            PAD; None if there are none. They may come where all other words are forbidden, even if
            another rule forbids them.
    """

    penalizes: bool = False
    wanted: torch.Tensor | None = None

    @abstractmethod
    def mask(self, log_probs: torch.Tensor, part: slice) -> None:
        """Sets the log-probabilities of forbidden words to -inf, in place.

        Args:
            log_probs: (n, V) log-probabilities of the next word in some of the rows.
            part: which of the N rows these are.
        """

    def required(self, part: slice) -> Required | None:
        """The words that must come in some of the rows `part`; called before `mask`."""
        return None

    @abstractmethod
    def select(self, rows: torch.Tensor, words: torch.Tensor | None) -> "Restriction":
        """The rule for other rows; this object stays as it is.

        Args:
            rows: (N',) the old row of each new one.
            words: (N',) the word that each new row has read; None if it has read none.
        """

    def progress(self, words: torch.Tensor) -> torch.Tensor | None:
        """(N, K) what each row has of what it must contain after each of its words (N, K)."""
        return None

    def unmask(self, words: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """(N, K) the scorer's own log-probabilities of words (N, K), given the masked ones."""
        return values
