"""Sources of vectors: a linear layer in place of the source's table of word vectors.

The ids of such a source number the vectors of their batch (`SourceBatch.vectors`). The linear layer
makes a table of word vectors from them, for this batch only, and the encoders read ids as always.
"""

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.text.vocabulary import PAD_ID, SPECIALS


class BatchTable(nn.Module):
    """The word vectors of one batch: of the special tokens, then of the batch's vectors.

    Args:
        weight: (P + 4, E).
    """

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The word vectors (..., E) of ids (...)."""
        return F.embedding(tokens, self.weight, PAD_ID)


class VectorInput(nn.Embedding):
    """Word vectors of the special tokens, and a linear layer for vectors.

    Args:
        size: D, numbers per vector.
        width: E, width of the word vectors.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__(len(SPECIALS), width, PAD_ID)
        self.projection = nn.Linear(size, width)

    def of_batch(self, source: SourceBatch) -> BatchTable:
        """The table of a batch, whose vectors are (P, D)."""
        if source.vectors is None:  # a batch of empty sources, for example
            return BatchTable(self.weight)
        rows = self.projection(source.vectors.to(self.weight.dtype))
        return BatchTable(torch.cat([self.weight, rows.to(self.weight.dtype)]))


InputTable = nn.Embedding | BatchTable


def input_table(table: nn.Embedding, source: SourceBatch) -> InputTable:
    """What gives the word vectors of a batch's ids: the table itself, unless it reads vectors."""
    return table.of_batch(source) if isinstance(table, VectorInput) else table


def reads_vectors(model: nn.Module) -> bool:
    """Whether a model reads vectors."""
    return any(isinstance(part, VectorInput) for part in model.modules())


def refuse_vectors(model: nn.Module, option: str) -> None:
    """Raise UsageError for an option that a model of vectors cannot have."""
    if reads_vectors(model):
        raise UsageError(f"{option} cannot be used with a source of vectors (--source-vectors)")
