"""Distinct prefixes of hypotheses, for models that compute all positions at once."""

from dataclasses import dataclass, replace

import torch

from s2st.data.batch import moved


@dataclass(frozen=True)
class PrefixTree:
    """The distinct prefixes of some hypotheses. A node is a prefix, and reads its last word.

    Letters: P nodes, R hypotheses, T words of the longest hypothesis, EOS included.

    Attributes:
        tokens: (P,) the last word of each node's prefix; BOS for the empty prefix.
        depths: (P,) number of words before it, BOS included.
        sentences: (P,) row of the decoder's first state, in ascending order.
        paths: (R, T) the nodes of each hypothesis from the root on; any node after the last one.
        lengths: (R,) number of nodes of each hypothesis, on the CPU.
        owners: (P,) a place of each node among the flattened paths, in ascending order.
        owned: (R,) number of nodes with a place in each path, on the CPU.
    """

    tokens: torch.Tensor
    depths: torch.Tensor
    sentences: torch.Tensor
    paths: torch.Tensor
    lengths: torch.Tensor
    owners: torch.Tensor
    owned: torch.Tensor

    def to(self, device: torch.device) -> "PrefixTree":
        """Return the tree with all but the counts on a device."""
        names = "tokens", "depths", "sentences", "paths", "owners"
        return replace(self, **{name: moved(getattr(self, name), device) for name in names})
