"""The convolutional sentence model of Kalchbrenner & Blunsom (2013, section 3.1), in batches.

Letters: B sentences, S positions, E width, k columns of a kernel.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import moved


class SentenceConvolution(nn.Module):
    """Reduces the word vectors of a sentence to one vector by wider and wider convolutions.

    Layer i has a kernel K^(i+1) of i + 1 columns, with one row of weights per dimension. Dimensions
    never mix; there is no padding and no pooling. Each layer removes i columns and ends in tanh.
    When the j columns that are left are fewer than those of the next kernel, a kernel L^j reduces
    them to one, which is the vector of the sentence. Six tokens become five (K2), three (K3), and
    one (L3).

    All sentences share the kernels; longer ones use more of them. In the paper the longest sentence
    of the training corpus determines the largest kernel. Here it is an option, and longer sentences
    apply the largest kernel repeatedly.

    Args:
        width: E.
        largest: columns of the largest kernel, at least 2.
    """

    def __init__(self, width: int, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self._sizes = [*range(2, largest + 1), *range(2, largest)]  # of K2, K3, ..., L2, L3, ...
        # one tensor: all of it has a gradient whatever the lengths in a batch, as DDP requires
        self.weight = nn.Parameter(torch.cat([_kernel(width, size) for size in self._sizes], dim=1))

    def forward(self, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """One vector per sentence (B, E).

        Args:
            vectors: (B, S, E); those after the end of a sentence are never read.
            lengths: (B,) int64 on the CPU, at least 1.
        """
        kernels = torch.split(self.weight, self._sizes, dim=1)
        tops = kernels[self.largest - 1 :]
        columns = vectors.transpose(1, 2)
        rows = torch.arange(len(lengths))  # the sentence of each row of `columns`
        found, places = [], []
        size = 2
        while len(rows):
            ending = lengths < size  # too short for the kernel, or already one column
            for left in torch.unique(lengths[ending]).tolist():
                chosen = (lengths == left).nonzero().squeeze(1)
                remaining = _taken(columns, chosen)[:, :, :left]
                found.append(
                    remaining.squeeze(2) if left == 1 else _folded(remaining, tops[left - 2])
                )
                places.append(rows[chosen])
            going = (~ending).nonzero().squeeze(1)
            rows, lengths = rows[going], lengths[going] - (size - 1)
            if len(rows):
                columns = _taken(columns, going)
                kernel = kernels[size - 2]
                columns = torch.tanh(F.conv1d(columns, kernel.unsqueeze(1), groups=len(kernel)))
            size = min(size + 1, self.largest)
        return _taken(torch.cat(found), torch.cat(places).argsort())


def _folded(columns: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Reduces the columns (n, E, j) that are left to (n, E) by a kernel (E, j)."""
    return torch.tanh((columns * kernel).sum(dim=2))


def _kernel(width: int, size: int) -> torch.Tensor:
    """(E, size) random weights that preserve the variance of independent columns."""
    bound = math.sqrt(3 / size)
    return torch.empty(width, size).uniform_(-bound, bound)


def _taken(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows of a tensor on any device; the row numbers are on the CPU."""
    if len(rows) == len(values) and bool((rows == torch.arange(len(rows))).all()):
        return values
    return values.index_select(0, moved(rows, values.device))
