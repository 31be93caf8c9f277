"""Layers of the Transformer (Vaswani et al. 2017), over whole sequences or a word at a time.

Letters: B sentences, N rows being decoded, T and K positions that read and that are read, H width,
D = H / heads. Keys and values lie side by side in one tensor, (..., 2H), called a memory.
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
    """With a bias, begun as Transformers are."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=True)

    def reset_parameters(self) -> None:
        """Glorot's uniform weights, and biases of 0."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side (section 3.2.2), without their softmax."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.memory = Linear(width, 2 * width)
        self.output = Linear(width, width)
        with torch.no_grad():
            for part in self.memory.weight.view(2, width, width):  # two products, not one
                nn.init.xavier_uniform_(part)

    def forward(
        self,
        reading: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor | None = None,
        causal: bool = False,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """What each position finds in a memory.

        Args:
            reading: (B, T, H).
            memory: (B, K, 2H).
            mask: (B, K) True where there is something to be read; all where None.
            causal: position t reads only up to t.
            dropout: of attention weights.

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
        """As `forward`, with the weights (B, T, K), mean over the heads."""
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
        """(N, H) what rows (N, H) find in their own words index (N, T) of a memory (M, 2H)."""
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
    """Attention to its own side, to the source in a decoder of one, and a feed-forward network.

    Args:
        config: every size must be set.
        reads_source: whether there is attention to the source.
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
            hidden: one side's states.
            mask: (B, T) of the encoder's real positions; a decoder, without one, is causal.
            source: in a decoder that reads a source its memory (B, S, 2H) and mask (B, S).
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
        """The self-attention of one more word a row.

        Args:
            hidden: (N, H).
            before: (M, 2H) the memory of words already read, if any.
            index: (N, T) each row's words, its last among the N that are new: M, M + 1, ...

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
        """The attention to the source of one word a row.

        Args:
            hidden: (N, H).
            groups: which sentence each row reads.
            memory, mask: the sentences', (B, S, 2H) and (B, S).
            weigh: whether the attention's weights are wanted.

        Returns:
            (N, H), and the weights (N, S).
        """
        reading = groups.spread(self._before(self.cross_norm, hidden))
        memory, mask = groups.sources(memory), groups.sources(mask)
        if not weigh:
            attended = groups.back(self.cross_attention(reading, memory, mask))
            return self._after(self.cross_norm, hidden, attended), None
        attended, weights = self.cross_attention.weigh(reading, memory, mask)
        return self._after(self.cross_norm, hidden, groups.back(attended)), groups.back(weights)

    def feed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The last sublayer, each position by itself."""
        reading = self._before(self.inner_norm, hidden)
        return self._after(self.inner_norm, hidden, self.outer(torch.relu(self.inner(reading))))

    def _before(self, norm: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """What a sublayer reads."""
        return norm(hidden) if self.pre_norm else hidden

    def _after(self, norm: nn.Module, hidden: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        """The states with what a sublayer made of them."""
        hidden = hidden + F.dropout(update, self.dropout, self.training)
        return hidden if self.pre_norm else norm(hidden)


def sizes_of(config: TransformerConfig) -> tuple[int, int, float]:
    """Width, width of the feed-forward layers, and dropout.

    Raises:
        UsageError: heads that do not divide the width.
        ValueError: sizes are not set.
    """
    width, dropout = config.hidden_size, config.dropout
    if config.layers is None or width is None or dropout is None:
        raise ValueError("layers, hidden_size and dropout must be set")
    if width % config.heads:
        raise UsageError(f"--heads {config.heads} does not divide --hidden-size {width}")
    return width, config.feedforward_size or 4 * width, dropout


def sinusoids(first: int, count: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """(count, width) the positions from `first` on, from 0 (section 3.5).

    PE(p, 2i) = sin(p / 10000^(2i / width)), PE(p, 2i + 1) = cos(the same); in `like`'s format and
    on its device.
    """
    positions = torch.arange(first, first + count, dtype=torch.float64, device=like.device)
    even = torch.arange(0, width, 2, dtype=torch.float64, device=like.device)
    angles = positions.unsqueeze(1) * torch.exp(even * (-math.log(10000.0) / width))
    both = torch.stack([torch.sin(angles), torch.cos(angles)], dim=2)
    return both.flatten(1)[:, :width].to(like.dtype)
