"""Scores of additive attention, v . tanh(q + k), without a table of every tanh.

The table would have B x Q x S x H numbers, a gigabyte for long sentences. Instead blocks that fit
the cache are computed one by one, and computed again for the gradients.
"""

from collections.abc import Iterator
from typing import Any

import torch

CPU_CELLS = 1 << 18  # numbers in a block
GPU_CELLS = 1 << 26
_Block = tuple[slice, slice]  # sentences, queries


def additive_scores(
    queries: torch.Tensor, keys: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """(B, Q, S, K) tanh(q + k) @ weights for each query and key of a sentence.

    Args:
        queries: (B, Q, H).
        keys: (B, S, H).
        weights: (H, K).
    """
    apply: Any = _AdditiveScores.apply  # only some releases of torch have a type here
    scores: torch.Tensor = apply(queries, keys, weights)
    return scores


class _AdditiveScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: torch.Tensor, keys: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(queries, keys, weights)
        shape = (*queries.shape[:2], keys.shape[1], weights.shape[1])
        scores = queries.new_empty(shape)
        factor = weights.to(queries.dtype)
        with torch.autocast(queries.device.type, enabled=False):
            for part, some in _blocks(queries, keys):
                scores[part, some] = _tanh(queries[part, some], keys[part]) @ factor
        return scores

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        queries, keys, weights = ctx.saved_tensors
        wide = torch.promote_types(queries.dtype, torch.float32)
        factor = weights.to(queries.dtype).t()
        of_queries = torch.empty_like(queries)
        of_keys = torch.zeros_like(keys, dtype=wide)  # a sum over blocks, as is of_weights
        of_weights = torch.zeros_like(weights, dtype=wide)
        for part, some in _blocks(queries, keys):
            values = _tanh(queries[part, some], keys[part])
            errors = of_scores[part, some]
            of_weights += values.flatten(0, 2).t() @ errors.flatten(0, 2)
            slopes = values.square_().neg_().add_(1).mul_(errors @ factor)
            of_queries[part, some] = slopes.sum(dim=2)
            of_keys[part] += slopes.sum(dim=1)
        return of_queries, of_keys.to(keys.dtype), of_weights.to(weights.dtype)


def _tanh(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """(b, q, S, H) of queries (b, q, H) and keys (b, S, H)."""
    sums = queries.unsqueeze(2) + keys.unsqueeze(1)
    if sums.device.type == "cpu" and sums.dtype == torch.float32:
        # tanh(x) = 2 sigmoid(2x) - 1: torch's sigmoid is several times as fast on a CPU
        return sums.mul_(2).sigmoid_().mul_(2).sub_(1)
    return sums.tanh_()


def _blocks(queries: torch.Tensor, keys: torch.Tensor) -> Iterator[_Block]:
    """Blocks that cover all pairs of a sentence and a query."""
    cells = CPU_CELLS if queries.device.type == "cpu" else GPU_CELLS
    sentences, count, width = queries.shape
    of_query = max(1, keys.shape[1] * width)
    together = max(1, cells // max(1, count * of_query))
    some = max(1, cells // (together * of_query))
    for begin in range(0, sentences, together):
        for first in range(0, count, some):
            yield slice(begin, begin + together), slice(first, first + some)
