"""Layers of the Transformer (Vaswani et al. 2017), for whole sequences or one word at a time.

Everything but the attention itself works on rows: the real positions of a batch side by side
(`packing.py`), or the rows of a decoding step.

Letters: B sentences, T positions, P rows of all sentences, N rows being decoded in G groups of at
most R, S source length, H width, A attention heads, D = H / A.
"""

import math
from collections.abc import Callable, Iterable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import nn

from s2st.errors import UsageError
from s2st.models.attention_record import is_recording, note
from s2st.models.configs import TransformerConfig
from s2st.models.dropout import add_dropped
from s2st.models.packed.packed_linear import PackedWeight, PreparedLinear, make_product
from s2st.models.packed.trained_linear import linear
from s2st.models.prefix_tree import BLOCK, TreePart
from s2st.models.softmax.chunked_loss import at_least_float32
from s2st.models.transformer.decoder_cache import Rows, WordCache
from s2st.models.transformer.packing import Packing

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": F.gelu,
    "gelu-tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


def _attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    causal: bool,
) -> torch.Tensor:
    """Scaled dot-product attention (B, A, T, D); in training on a CPU in float32.

    On a CPU, torch 2.13 computes the gradient seven times as slowly in bfloat16.
    """
    attend = partial(
        F.scaled_dot_product_attention, attn_mask=mask, dropout_p=dropout, is_causal=causal
    )
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled():
        with torch.autocast("cpu", enabled=False):
            wide = (part.float() for part in (query, keys, values))
            return attend(*wide).to(query.dtype)
    return attend(query, keys, values)


class Linear(PreparedLinear):
    """A linear layer with a bias and the Transformer's initial weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=True)

    def reset_parameters(self) -> None:
        """Sets Glorot-uniform weights and zero biases."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, inputs: torch.Tensor, relu: bool = False) -> torch.Tensor:
        """(N, outputs) of inputs (N, inputs), rectified if asked for."""
        if self._prepared is None:
            return linear(inputs, self.weight, self.bias, relu)
        if isinstance(self._prepared, PackedWeight):
            rectified: torch.Tensor = self._prepared(inputs, relu)
            return rectified
        outputs: torch.Tensor = self._prepared(inputs)
        return outputs.relu_() if relu else outputs


class MultiHeadAttention(nn.Module):
    """Multi-head attention (section 3.2.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.memory = Linear(width, 2 * width)
        self.output = Linear(width, width)
        self._fused: nn.Module | None = None
        with torch.no_grad():
            for part in self.memory.weight.view(
                2, width, width
            ):  # keys and values, each initialized as a matrix of its own
                nn.init.xavier_uniform_(part)

    def prepare(self, precision: str, reads_itself: bool) -> None:
        """Packs the weights for scoring on a CPU, permanently.

        Args:
            precision: "float32", "bfloat16" or "int8".
            reads_itself: whether queries and memory are products of the same rows.
        """
        self.output.prepare(precision)
        if reads_itself:
            self._fused = make_product(*self._both(), precision)
        else:
            self.query.prepare(precision)
            self.memory.prepare(precision)

    def of_rows(self, reading: torch.Tensor) -> torch.Tensor:
        """(P, 3H) queries, keys and values of the same rows (P, H), by one product."""
        if self._fused is None:
            return linear(reading, *self._both())
        result: torch.Tensor = self._fused(reading)
        return result

    def attend(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None = None,
        causal: bool = False,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """Attention of every position of a sequence, before the output's product.

        Args:
            query: (B, T, H).
            keys, values: (B, A, K, D).
            mask: (B, 1, 1 or T, K) True where a query may read; None for everywhere.
            causal: whether position t reads only positions up to t.
            dropout: probability of dropping an attention weight.

        Returns:
            (B, T, H).
        """
        if is_recording(self):
            note(self, self._weights(query, keys, mask, causal))
        attended = _attention(self.split(query), keys, values, mask, dropout, causal)
        return attended.transpose(1, 2).flatten(2)

    def _weights(
        self, query: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, causal: bool
    ) -> torch.Tensor:
        """(B, A, T, K) the weights of `attend` without dropout, in at least float32."""
        read = at_least_float32(self.split(query)), at_least_float32(keys)
        scores = torch.matmul(read[0], read[1].transpose(2, 3)) / math.sqrt(keys.shape[3])
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        if causal:
            later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        return scores.softmax(dim=-1)

    def attend_step(
        self, query: torch.Tensor, memory: torch.Tensor, bias: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of few queries to many keys, as in decoding.

        On a CPU, batched products take half the time of torch's fused attention here.

        Args:
            query: (G, R, H).
            memory: (2, G, A, K, D) keys and values.
            bias: (G, 1, 1 or R, K) what is added to the scores; None for nothing.

        Returns:
            (G, R, H), and the weights (G, A, R, K).
        """
        kind = query.device.type
        if torch.is_autocast_enabled(kind):  # which would convert the whole memory in every step
            with torch.autocast(kind, enabled=False):
                return self.attend_step(query, memory, bias)
        keys, values = memory.to(query.dtype).flatten(1, 2)
        scores = torch.baddbmm(
            query.new_zeros(()).expand(1, 1, 1),
            self.split(query).flatten(0, 1),
            keys.transpose(1, 2),
            beta=0,
            alpha=1 / math.sqrt(keys.shape[2]),
        ).view(len(query), self.heads, query.shape[1], memory.shape[3])
        if bias is not None:
            scores = scores + bias.to(scores.dtype)
        weights = torch.softmax(scores, dim=-1)
        attended = torch.bmm(weights.flatten(0, 1), values)
        attended = attended.view(*weights.shape[:3], values.shape[2])
        return attended.transpose(1, 2).flatten(2), weights

    def _both(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight (3H, H) and bias of `of_rows`."""
        first, second = self.query, self.memory
        return torch.cat((first.weight, second.weight)), torch.cat((first.bias, second.bias))

    def split(self, values: torch.Tensor) -> torch.Tensor:
        """(B, T, H) as (B, A, T, D)."""
        width = values.shape[2] // self.heads
        return values.view(*values.shape[:2], self.heads, width).transpose(1, 2)


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
        self.reads_source = reads_source
        self.self_norm = nn.LayerNorm(width, config.norm_epsilon)
        self.self_attention = MultiHeadAttention(width, config.heads)
        if reads_source:
            self.cross_norm = nn.LayerNorm(width, config.norm_epsilon)
            self.cross_attention = MultiHeadAttention(width, config.heads)
        self.inner_norm = nn.LayerNorm(width, config.norm_epsilon)
        self.inner = Linear(width, inner)
        self.outer = Linear(inner, width)
        self.activation = config.activation

    def forward(
        self,
        hidden: torch.Tensor,
        packing: Packing,
        causal: bool,
        source: tuple[torch.Tensor, torch.Tensor | None] | None = None,
    ) -> torch.Tensor:
        """(P, H) of hidden (P, H).

        Args:
            hidden: the states of the side that the layer belongs to.
            packing: the places of the rows.
            causal: whether a position reads only the positions before it, and itself.
            source: memory (2, B, A, S, D), and mask (B, 1, 1, S) or None, for cross-attention.
        """
        dropout = self.attention_dropout if self.training else 0.0
        attention = self.self_attention
        width, read = hidden.shape[-1], self._before(self.self_norm, hidden)
        query, *memory = packing.unpack(attention.of_rows(read)).split(width, dim=-1)
        # a causal mask also hides the padding, which comes after the last word
        mask = None if causal or packing.mask is None else packing.mask[:, None, None]
        keys, values = map(attention.split, memory)
        attended = attention.attend(query, keys, values, mask, causal, dropout)
        update = attention.output(packing.pack(attended))
        hidden = self._after(self.self_norm, hidden, update)
        if source is not None:
            cross = self.cross_attention
            query = packing.unpack(cross.query(self._before(self.cross_norm, hidden)))
            (keys, values), mask = source
            attended = cross.attend(query, keys, values, mask, dropout=dropout)
            hidden = self._after(self.cross_norm, hidden, cross.output(packing.pack(attended)))
        return self.feed_forward(hidden)

    def step(
        self,
        hidden: torch.Tensor,
        rows: Rows,
        cache: WordCache,
        number: int,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """Self-attention of one more word in each row, which the cache receives.

        Args:
            hidden: (N, H).
            rows: the rows in groups.
            cache: the words read before.
            number: this layer's number.
            bias: (G, 1, R, U) -inf at columns of the cache that a place does not read, else 0;
                None if all are read.

        Returns:
            (N, H).
        """
        attention, width = self.self_attention, hidden.shape[1]
        products = attention.of_rows(self._before(self.self_norm, hidden))
        words = products[:, width:].view(len(hidden), 2, attention.heads, width // attention.heads)
        memory = cache.extended(number, rows, words)
        attended, _ = attention.attend_step(rows.spread(products[:, :width]), memory, bias)
        return self._after(self.self_norm, hidden, attention.output(rows.back(attended)))

    def step_source(
        self,
        hidden: torch.Tensor,
        rows: Rows,
        memory: torch.Tensor,
        bias: torch.Tensor | None,
        weigh: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Cross-attention of one word in each row.

        Args:
            hidden: (N, H).
            rows: the rows in groups.
            memory: (2, G, A, S, D) of each group's sentence.
            bias: (G, 1, 1, S) -inf at padding, else 0; None without padding.
            weigh: whether to return the attention weights.

        Returns:
            (N, H), and the weights (N, S), averaged over the heads, or None.
        """
        attention = self.cross_attention
        query = rows.spread(attention.query(self._before(self.cross_norm, hidden)))
        attended, weights = attention.attend_step(query, memory, bias)
        update = attention.output(rows.back(attended))
        hidden = self._after(self.cross_norm, hidden, update)
        return hidden, rows.back(weights.mean(dim=1)) if weigh else None

    def read_tree(self, hidden: torch.Tensor, parts: Iterable[TreePart]) -> torch.Tensor:
        """Self-attention of each node (P, H) of a tree to the nodes above it, and to itself."""
        attention, width = self.self_attention, hidden.shape[1]
        rows = attention.of_rows(self._before(self.self_norm, hidden))
        table = rows.view(3 * attention.heads * len(rows), width // attention.heads)
        found = []
        for part in parts:
            query = rows[part.first : part.last, :width]
            missing = len(part.bias) * BLOCK - len(query)
            query = F.pad(query, (0, 0, 0, missing)) if missing else query
            memory = F.embedding(part.memory, table)
            attended, _ = attention.attend_step(
                query.view(len(part.bias), BLOCK, width), memory, part.bias
            )
            found.append(attended.flatten(0, 1)[: part.last - part.first])
        return self._after(self.self_norm, hidden, attention.output(torch.cat(found)))

    def feed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The feed-forward sublayer, which treats each position by itself."""
        read = self._before(self.inner_norm, hidden)
        if self.activation == "relu":  # fused with the product
            inner = self.inner(read, relu=True)
        else:
            inner = ACTIVATIONS[self.activation](self.inner(read))
        return self._after(self.inner_norm, hidden, self.outer(inner))

    def prepare(self, precision: str) -> None:
        """Packs the weights for scoring on a CPU, permanently."""
        self.self_attention.prepare(precision, reads_itself=True)
        if self.reads_source:
            self.cross_attention.prepare(precision, reads_itself=False)
        self.inner.prepare(precision)
        self.outer.prepare(precision)

    def _before(self, norm: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """The input of a sublayer: normalized first in a pre-norm layer."""
        return norm(hidden) if self.pre_norm else hidden

    def _after(self, norm: nn.Module, hidden: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        """Adds the output of a sublayer; a post-norm layer then normalizes the sum."""
        hidden = add_dropped(hidden, update, self.dropout, self.training)
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


def sinusoids(
    first: int, count: int, width: int, like: torch.Tensor, halves: bool = False
) -> torch.Tensor:
    """(count, width) sinusoids of `count` positions from `first` on (section 3.5).

    PE(p, 2i) = sin(p / 10000^(2i / width)), PE(p, 2i + 1) = cos(p / 10000^(2i / width)), with the
    data type and the device of `like`.

    Args:
        halves: the even columns come first, then the odd ones, as in Marian.
    """
    end = first + count
    rows = 1 << max(6, (end - 1).bit_length())
    return _sinusoids(rows, width, like.dtype, like.device, halves)[first:end]


@cache
def _sinusoids(
    count: int, width: int, dtype: torch.dtype, device: torch.device, halves: bool
) -> torch.Tensor:
    """A table that every step reads a row of."""
    with torch.inference_mode(False), torch.no_grad():
        positions = torch.arange(count, dtype=torch.float64, device=device)
        even = torch.arange(0, width, 2, dtype=torch.float64, device=device)
        angles = positions.unsqueeze(1) * torch.exp(even * (-math.log(10000.0) / width))
        both = torch.stack([torch.sin(angles), torch.cos(angles)], dim=1 if halves else 2)
        return both.flatten(1)[:, :width].to(dtype)
