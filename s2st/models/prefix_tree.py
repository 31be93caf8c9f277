"""Distinct prefixes of hypotheses, for models that compute all positions at once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from s2st.data.batch import moved

BLOCK = 32  # neighboring nodes that read the same memory
CPU_CELLS = 1 << 20  # numbers of the keys and values that are read at once: they fit the cache
GPU_CELLS = 1 << 27
KEPT_CELLS = 1 << 24  # numbers of biases that are kept from one layer to the next


@dataclass(frozen=True)
class PrefixTree:
    """The distinct prefixes of some hypotheses. A node is a prefix, and reads its last word.

    Nodes are numbered depth first (preorder). So what stands below a node are the next numbers, and
    the nodes above one of some neighbors are above the first neighbor, or are neighbors too.

    Letters: P nodes, R hypotheses, T words of the longest hypothesis, EOS included, G blocks of
    `BLOCK` neighboring nodes, of which the last one can be shorter.

    Attributes:
        tokens: (P,) the last word of each node's prefix; BOS for the empty prefix.
        depths: (P,) number of words before it, BOS included.
        sentences: (P,) row of the decoder's first state, in ascending order.
        ends: (P,) the first node after each node that is not below it.
        paths: (R, T) the nodes of each hypothesis from the root on; any node after the last one.
        leaders: (G,) a hypothesis that passes through the first node of each block.
        heights: (G,) the depth of this node, on the CPU.
    """

    tokens: torch.Tensor
    depths: torch.Tensor
    sentences: torch.Tensor
    ends: torch.Tensor
    paths: torch.Tensor
    leaders: torch.Tensor
    heights: torch.Tensor

    def to(self, device: torch.device) -> "PrefixTree":
        """Return the tree with all but the heights on a device."""
        names = "tokens", "depths", "sentences", "ends", "paths", "leaders"
        return replace(self, **{name: moved(getattr(self, name), device) for name in names})


@dataclass(frozen=True)
class TreePart:
    """Some blocks of a tree, and what their nodes read.

    Letters: g blocks, K nodes that a block reads: those above its first node, then its own.

    Attributes:
        first, last: the nodes from `first` on and before `last`.
        memory: (2, g, A, K) row of each key and value in a table (P x 3A, D) of the nodes' queries,
            keys and values.
        bias: (g, 1, BLOCK, K) 0 at the nodes that a node reads, else -inf.
    """

    first: int
    last: int
    memory: torch.Tensor
    bias: torch.Tensor


class TreeParts:
    """The parts of a tree, for one layer after the other.

    Args:
        tree: the tree.
        heads: number of attention heads, A.
        width: of a key and of a value, over all heads.
        dtype: of the bias.
    """

    def __init__(self, tree: PrefixTree, heads: int, width: int, dtype: torch.dtype) -> None:
        self.tree = tree
        self.heads = heads
        self.dtype = dtype
        reach = int(tree.heights.max()) + BLOCK
        most = CPU_CELLS if tree.tokens.device.type == "cpu" else GPU_CELLS
        self.size = max(1, most // (2 * width * reach))  # blocks of a part
        small = len(tree.heights) * BLOCK * reach <= KEPT_CELLS
        self._kept = list(self._made()) if small else None

    def __iter__(self) -> Iterator[TreePart]:
        return iter(self._made() if self._kept is None else self._kept)

    def _made(self) -> Iterator[TreePart]:
        for begin in range(0, len(self.tree.heights), self.size):
            yield self._part(begin, min(len(self.tree.heights), begin + self.size))

    def _part(self, begin: int, end: int) -> TreePart:
        tree, device, nodes = self.tree, self.tree.tokens.device, len(self.tree.tokens)
        height = int(tree.heights[begin:end].max())
        first = torch.arange(begin, end, device=device).unsqueeze(1) * BLOCK
        above = tree.paths[tree.leaders[begin:end], :height]
        # the path goes on below the block's first node, where it is not to be read again
        depths = tree.depths[first]
        below = torch.arange(height, device=device) >= depths
        own = first + torch.arange(BLOCK, device=device)
        real = own.clamp(max=nodes - 1)
        ends = torch.cat(
            [
                tree.ends[above].masked_fill(below, 0),
                tree.ends[real].maximum(own + 1),  # what is after the last node reads itself
            ],
            dim=1,
        )
        begins, readers = torch.cat([above, own], dim=1).unsqueeze(1), own.unsqueeze(2)
        unread = (begins > readers) | (ends.unsqueeze(1) <= readers)
        bias = torch.zeros(unread.shape, dtype=self.dtype, device=device)
        keys = torch.cat([above, real], dim=1)[:, None] * (3 * self.heads)
        planes = torch.arange(self.heads, 3 * self.heads, device=device)
        return TreePart(
            begin * BLOCK,
            min(nodes, end * BLOCK),
            keys + planes.view(2, 1, self.heads, 1),
            bias.masked_fill_(unread, -torch.inf).unsqueeze(1),
        )
