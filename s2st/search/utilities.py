"""The registry of sentence utilities, importable without torch: how good a text is given another.

Minimum Bayes risk search chooses the text with the largest expected utility. A builder takes
(config) and returns a `Utility`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2st.options.registry import Registry

Floats = npt.NDArray[np.float64]


class Utility(ABC):
    """A metric of a sentence against one reference; larger is better."""

    @abstractmethod
    def value(self, hypothesis: str, reference: str) -> float:
        """The utility of a text if another one is the reference."""

    def matrix(self, texts: Sequence[str]) -> Floats:
        """(n, n) `value` of each text (row) against each text (column).

        A subclass can have a faster version with the same results.
        """
        rows = [[self.value(text, reference) for reference in texts] for text in texts]
        return np.array(rows, dtype=np.float64).reshape(len(texts), len(texts))


@dataclass(frozen=True)
class BleuUtilityConfig:
    """Sentence BLEU has no options."""


@dataclass(frozen=True)
class ChrfUtilityConfig:
    """chrF2 has no options."""


UTILITIES: Registry[Utility] = Registry("utility", "s2st.search.utilities:Utility")
UTILITIES.register(
    "bleu",
    BleuUtilityConfig,
    "s2st.search.ngram_utilities:BleuUtility",
    "sentence BLEU of sacreBLEU (tokenizer 13a, exponential smoothing, effective order)",
)
UTILITIES.register(
    "chrf", ChrfUtilityConfig, "s2st.search.ngram_utilities:ChrfUtility", "chrF2 of sacreBLEU"
)
