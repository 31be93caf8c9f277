"""The softmax layer: probabilities of given words without holding all logits.

Only the normaliser needs every word of the vocabulary. It is computed in blocks of rows and
words that stay in a cache, which on a CPU costs little more than the matrix product alone.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

ROWS = 1024
WORDS = 1000  # logits of ROWS x WORDS are 4 MB


class OutputLayer(nn.Linear):
    """Logits (..., V) of features (..., H), without a bias, as in Sutskever et al. (2014)."""

    def __init__(self, width: int, words: int) -> None:
        super().__init__(width, words, bias=False)

    def word_log_probs(
        self, features: torch.Tensor, rows: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """log softmax(logits of features[rows[i]])[words[i]] for every i, as (K,).

        Args:
            features: (N, H).
            rows: (K,) int64 rows of the features.
            words: (K,) int64.
        """
        normaliser = torch.cat([self._normaliser(part) for part in torch.split(features, ROWS)])
        return self._word_logits(features, rows, words) - normaliser.index_select(0, rows)

    def _normaliser(self, features: torch.Tensor) -> torch.Tensor:
        """(N,) log of the sum of exponentials of the logits."""
        parts = []
        for logits in self._blocks(features):
            logits = at_least_float32(logits)
            # log_softmax is fast in a cache where logsumexp makes many passes; the difference of
            # any one logit to its log-probability is the block's normaliser
            parts.append(logits[:, 0] - torch.log_softmax(logits, dim=1)[:, 0])
        return torch.stack(parts, dim=1).logsumexp(dim=1)

    def _blocks(self, features: torch.Tensor) -> Iterator[torch.Tensor]:
        """The logits of some words at a time."""
        for weight in torch.split(self.weight, WORDS):
            yield F.linear(features, weight)

    def _word_logits(
        self, features: torch.Tensor, rows: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """(K,) one logit for each pair of row and word."""
        chosen = at_least_float32(features.index_select(0, rows))
        return (chosen * self.weight.index_select(0, words)).sum(dim=1)


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """bfloat16 as float32; float32 and float64 as they are."""
    return values if values.dtype == torch.float64 else values.float()
