"""The softmax loss and its gradients, computed in chunks of rows.

The forward pass also computes the gradients, while it holds a chunk's logits. So the logits of all
rows (gigabytes for a large vocabulary) are never in memory together, and none is computed twice.
"""

from itertools import pairwise
from typing import Any

import torch

from s2st.models.packed.packed_linear import multiplier, multiply

CHUNK_BYTES = 1 << 26  # of a chunk's logits; its probabilities take the same again
SMALLEST = 1e-30  # probability of which float32 still has all digits
FEWEST_ROWS = 512  # each chunk reads the weights twice and their gradient once


def softmax_loss(
    features: torch.Tensor, weight: torch.Tensor, words: torch.Tensor, smoothing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums over rows, in nats: the smoothed loss, with gradient, and -log p(word), without.

    The loss of a row is (1 - smoothing) * -log p(word) + smoothing * mean over V of -log p.
    Under autocast the products have its data type, and the rest is float32.

    Args:
        features: (N, H).
        weight: (V, H); logits are features @ weight.T.
        words: (N,) int64.
        smoothing: from 0 to 1.
    """
    apply: Any = _SoftmaxLoss.apply  # only some releases of torch have a type here
    loss, nll = apply(features, weight, words, smoothing)
    return loss, nll


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        weight: torch.Tensor,
        words: torch.Tensor,
        smoothing: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        kind = features.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        with torch.autocast(kind, enabled=False):
            sums, gradients = _loss_and_gradients(
                features, weight, words, smoothing, dtype, ctx.needs_input_grad[:2]
            )
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(sums[1])
        return sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_loss: torch.Tensor, _: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        gradients = (None if saved is None else saved * of_loss for saved in ctx.saved_tensors)
        return (*gradients, None, None)


def _loss_and_gradients(
    features: torch.Tensor,
    weight: torch.Tensor,
    words: torch.Tensor,
    smoothing: float,
    dtype: torch.dtype,
    needed: tuple[bool, ...],
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor | None, ...]]:
    """(loss, nll), and the gradients of the loss for features and weight if needed."""
    factor = weight.to(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    loss, nll = features.new_zeros((2,), dtype=wide)
    of_features = torch.empty_like(features) if needed[0] else None
    of_weight: torch.Tensor | None = None
    # float32 is faster with the transposed product, bfloat16 on a CPU with the plain one
    transposed = dtype != torch.bfloat16 or features.device.type != "cpu"
    chunks = row_chunks(len(features), len(weight), weight.element_size())
    by_words = multiplier(factor, len(chunks))
    by_width = multiplier(factor.t(), len(chunks) if needed[0] else 0)
    for rows in chunks:
        chunk, targets = features[rows].to(dtype), words[rows].unsqueeze(1)
        logits = by_words(chunk).to(wide)
        chosen = logits.gather(1, targets)
        probabilities = torch.softmax(logits, dim=1)
        chunk_nll = _nll_sum(logits, probabilities, chosen, targets)
        nll, loss = nll + chunk_nll, loss + chunk_nll
        if smoothing:
            loss = loss + smoothing * (chosen.squeeze(1) - logits.mean(dim=1)).sum()
            probabilities.sub_(smoothing / len(weight))
        del logits
        if not any(needed):
            continue
        probabilities.scatter_add_(1, targets, torch.full_like(chosen, smoothing - 1))
        errors = probabilities.to(dtype)
        if of_features is not None:
            of_features[rows] = by_width(errors)
        if needed[1]:
            product = multiply(chunk.t(), errors.t()) if transposed else errors.t() @ chunk
            of_weight = product.to(weight.dtype) if of_weight is None else of_weight.add_(product)
    if of_weight is not None and transposed:
        of_weight = of_weight.t().contiguous()
    return (loss, nll), (of_features, of_weight)


def _nll_sum(
    logits: torch.Tensor, probabilities: torch.Tensor, chosen: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Sum over rows of -log p(word), of logits (N, V) and the words' own logits (N, 1)."""
    if logits.device.type == "cpu":  # on a GPU the check would wait
        likely = probabilities.gather(1, targets)
        if len(likely) and float(likely.min()) > SMALLEST:
            return -likely.log().sum()
    # log-normalizer = largest logit - log of its probability, which never underflows; logsumexp
    # would take as long as the product
    largest = logits.amax(dim=1), probabilities.amax(dim=1)
    return (largest[0] - largest[1].log() - chosen.squeeze(1)).sum()


def row_chunks(rows: int, words: int, number_bytes: int) -> list[slice]:
    """Slices of near-equal size that cover `rows` rows of logits; at least one slice."""
    most = max(FEWEST_ROWS, CHUNK_BYTES // (max(4, number_bytes) * words))
    count = max(1, -(-rows // most))
    edges = [rows * index // count for index in range(count + 1)]
    return [slice(*pair) for pair in pairwise(edges)]


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """Converts bfloat16 to float32; leaves float32 and float64 unchanged."""
    return values if values.dtype == torch.float64 else values.float()
