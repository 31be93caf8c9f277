"""Layers of the Transformer (Vaswani et al. 2017), for whole sequences or one word at a time.

Letters: B sentences, N rows being decoded, T positions of queries, K positions of keys, H width,
D = H / heads. Keys and values are concatenated in one tensor (..., 2H), called a memory.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from s2st.errors import UsageError
from s2st.models.packed.packed_linear import PreparedLinear
from s2st.models.registry import TransformerConfig
from s2st.models.transformer.decoder_cache import RowGroups, attend_words


class Linear(PreparedLinear):
    """A linear layer with a bias and the Transformer's initial weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=True)

    def reset_parameters(self) -> None:
        """Sets Glorot-uniform weights and zero biases."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class MultiHeadAttention(nn.Module):
    """Multi-head attention (section 3.2.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.memory = Linear(width, 2 * width)
        self.output = Linear(width, width)
        with torch.no_grad():
            for part in self.memory.weight.view(
                2, width, width
            ):  # keys and values, each initialized as a matrix of its own
                nn.init.xavier_uniform_(part)

    def forward(
        self,
        reading: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor | None = None,
        causal: bool = False,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """Attention of each position to a memory.

        Args:
            reading: (B, T, H).
            memory: (B, K, 2H).
            mask: (B, K) True at positions that may be read; None for all.
            causal: whether position t reads only positions up to t.
            dropout: probability of dropping an attention weight.

        Returns:
            (B, T, H).
        """
        keys, values = memory.chunk(2, dim=-1)
        attended = F.scaled_dot_product_attention(
            self._split(self.query(reading)),
            self._split(keys),
            self._split(values),
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=dropout,
            is_causal=causal,
        )
        return self._joined(attended)

    def weigh(
        self, reading: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Like `forward`, but also returns the weights (B, T, K), averaged over the heads."""
        keys, values = memory.chunk(2, dim=-1)
        query = self._split(self.query(reading))
        scores = query @ self._split(keys).transpose(-1, -2) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
        weights = torch.softmax(scores, dim=-1)
        attended = weights.to(values.dtype) @ self._split(values)
        return self._joined(attended), weights.mean(dim=1)

    def read_words(
        self, reading: torch.Tensor, memory: torch.Tensor, index: torch.Tensor
    ) -> torch.Tensor:
        """(N, H) attention of rows (N, H) to their words, numbers (N, T) in a memory (M, 2H)."""
        found = attend_words(self.query(reading), memory, index, self.heads)
        result: torch.Tensor = self.output(found)
        return result

    def _split(self, values: torch.Tensor) -> torch.Tensor:
        """(B, T, H) as (B, heads, T, D)."""
        count, length, width = values.shape
        return values.view(count, length, self.heads, width // self.heads).transpose(1, 2)

    def _joined(self, attended: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return result


class TransformerLayer(nn.Module):
    """Self-attention, in a decoder also cross-attention, and a feed-forward network.

    Args:
        config: every size must be set.
        reads_source: whether the layer has cross-attention.
    """

    def __init__(self, config: TransformerConfig, reads_source: bool) -> None:
        super().__init__()
        width, inner, self.dropout = sizes_of(config)
        self.attention_dropout = config.attention_dropout
        self.pre_norm = config.norm == "pre"
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = MultiHeadAttention(width, config.heads)
        if reads_source:
            self.cross_norm = nn.LayerNorm(width)
            self.cross_attention = MultiHeadAttention(width, config.heads)
        self.inner_norm = nn.LayerNorm(width)
        self.inner = Linear(width, inner)
        self.outer = Linear(inner, width)

    def forward(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor | None = None,
        source: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """(B, T, H) of hidden (B, T, H).

        Args:
            hidden: the states of the side that the layer belongs to.
            mask: (B, T) True at the encoder's real positions; None in a decoder, which is causal.
            source: memory (B, S, 2H) and mask (B, S) of the source, for cross-attention.
        """
        dropout = self.attention_dropout if self.training else 0.0
        reading = self._before(self.self_norm, hidden)
        attention = self.self_attention
        memory = attention.memory(reading)
        attended = attention(reading, memory, mask, mask is None, dropout)
        hidden = self._after(self.self_norm, hidden, attended)
        if source is not None:
            reading = self._before(self.cross_norm, hidden)
            attended = self.cross_attention(reading, *source, dropout=dropout)
            hidden = self._after(self.cross_norm, hidden, attended)
        return self.feed_forward(hidden)

    def step(
        self, hidden: torch.Tensor, before: torch.Tensor | None, index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Self-attention of one more word in each row.

        Args:
            hidden: (N, H).
            before: (M, 2H) the memory of the cached words; None before the first step.
            index: (N, T) numbers of each row's words; the new words are M, M + 1, ...

        Returns:
            (N, H), and the memory (M + N, 2H).
        """
        reading = self._before(self.self_norm, hidden)
        memory = self.self_attention.memory(reading)
        memory = memory if before is None else torch.cat([before, memory])
        attended = self.self_attention.read_words(reading, memory, index)
        return self._after(self.self_norm, hidden, attended), memory

    def step_source(
        self,
        hidden: torch.Tensor,
        groups: RowGroups,
        memory: torch.Tensor,
        mask: torch.Tensor,
        weigh: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Cross-attention of one word in each row.

        Args:
            hidden: (N, H).
            groups: the rows in groups by sentence.
            memory, mask: of the sentences, (B, S, 2H) and (B, S).
            weigh: whether to return the attention weights.

        Returns:
            (N, H), and the weights (N, S) or None.
        """
        reading = groups.spread(self._before(self.cross_norm, hidden))
        memory, mask = groups.sources(memory), groups.sources(mask)
        if not weigh:
            attended = groups.back(self.cross_attention(reading, memory, mask))
            return self._after(self.cross_norm, hidden, attended), None
        attended, weights = self.cross_attention.weigh(reading, memory, mask)
        return self._after(self.cross_norm, hidden, groups.back(attended)), groups.back(weights)

    def feed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The feed-forward sublayer, which treats each position by itself."""
        reading = self._before(self.inner_norm, hidden)
        return self._after(self.inner_norm, hidden, self.outer(torch.relu(self.inner(reading))))

    def _before(self, norm: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """The input of a sublayer: normalized first in a pre-norm layer."""
        return norm(hidden) if self.pre_norm else hidden

    def _after(self, norm: nn.Module, hidden: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        """Adds the output of a sublayer; a post-norm layer then normalizes the sum."""
        hidden = hidden + F.dropout(update, self.dropout, self.training)
        return hidden if self.pre_norm else norm(hidden)


def sizes_of(config: TransformerConfig) -> tuple[int, int, float]:
    """Width, width of the feed-forward layers, and dropout.

    Raises:
        UsageError: the heads do not divide the width.
        ValueError: a size is not set.
    """
    width, dropout = config.hidden_size, config.dropout
    if config.layers is None or width is None or dropout is None:
        raise ValueError("layers, hidden_size and dropout must be set")
    if width % config.heads:
        raise UsageError(f"--heads {config.heads} does not divide --hidden-size {width}")
    return width, config.feedforward_size or 4 * width, dropout


def sinusoids(first: int, count: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """(count, width) sinusoids of `count` positions from `first` on (section 3.5).

    PE(p, 2i) = sin(p / 10000^(2i / width)), PE(p, 2i + 1) = cos(p / 10000^(2i / width)), with the
    data type and the device of `like`.
    """
    positions = torch.arange(first, first + count, dtype=torch.float64, device=like.device)
    even = torch.arange(0, width, 2, dtype=torch.float64, device=like.device)
    angles = positions.unsqueeze(1) * torch.exp(even * (-math.log(10000.0) / width))
    both = torch.stack([torch.sin(angles), torch.cos(angles)], dim=2)
    return both.flatten(1)[:, :width].to(like.dtype)
