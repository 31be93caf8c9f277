"""The convolutional sentence model of Kalchbrenner & Blunsom (2013, section 3.1), in batches.

Letters: B sentences, S positions, E width, k columns of a kernel.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class SentenceConvolution(nn.Module):
    """Folds the word vectors of a sentence into one vector by ever wider convolutions.

    Layer i has a kernel K^(i+1) of i + 1 columns, one row of weights a dimension: dimensions never
    mix, nothing is padded, nothing is pooled. Each layer leaves i columns fewer and ends in tanh.
    Where fewer columns are left than the next kernel has, a kernel L^j of their number j makes one
    of them. Six tokens become five (K2), three (K3), one (L3). One column is the sentence's vector.

    Longer sentences use more of the kernels, none has weights of its own. In the paper the largest
    kernel follows from the longest sentence of the training corpus; here it is an option, and is
    applied again and again to sentences longer than that.

    Args:
        width: E.
        largest: columns of the largest kernel, 2 at least.
    """

    def __init__(self, width: int, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self._sizes = [*range(2, largest + 1), *range(2, largest)]  # of K2, K3, ..., L2, L3, ...
        # one tensor, all of which has a gradient whatever lengths a batch has, as DDP wants it
        self.weight = nn.Parameter(torch.cat([_kernel(width, size) for size in self._sizes], dim=1))

    def forward(self, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """One vector (B, E) a sentence.

        Args:
            vectors: (B, S, E); those behind a sentence's end are never read.
            lengths: (B,) int64 on the CPU, 1 at least.
        """
        kernels = torch.split(self.weight, self._sizes, dim=1)
        tops = kernels[self.largest - 1 :]
        columns = vectors.transpose(1, 2)
        rows = torch.arange(len(lengths))  # whose columns they are
        found, places = [], []
        size = 2
        while len(rows):
            ending = lengths < size  # too short for the kernel, or one column already
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
    """(n, E) of all columns (n, E, j) that are left, by a kernel (E, j)."""
    return torch.tanh((columns * kernel).sum(dim=2))


def _kernel(width: int, size: int) -> torch.Tensor:
    """(E, size) weights under which columns of independent numbers keep their variance."""
    bound = math.sqrt(3 / size)
    return torch.empty(width, size).uniform_(-bound, bound)


def _taken(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows of a tensor that may be on another device than their numbers, which are on the CPU."""
    if len(rows) == len(values) and bool((rows == torch.arange(len(rows))).all()):
        return values
    return values.index_select(0, rows.to(values.device))
