"""The softmax loss when the ranks of a group divide the rows of the softmax matrix.

For each row of logits the ranks exchange three numbers: the log of the sum of exponentials, the
logit of the target word, and, for label smoothing, the sum of logits.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist

from s2st.models.packed.packed_linear import multiply
from s2st.models.softmax.chunked_loss import row_chunks


def word_range(words: int, part: int, parts: int) -> tuple[int, int]:
    """First word of a part of the vocabulary, and the word after its last; near-equal parts."""
    return words * part // parts, words * (part + 1) // parts


@dataclass(frozen=True)
class DividedLoss:
    """Sums over rows in nats, the same on all ranks, and this rank's share of the gradients.

    Attributes:
        loss, nll: the training loss and -log p(word), in at least float32.
        of_features: (N, H); the sum over the ranks is the loss's gradient. None if not asked for.
        of_weight: the loss's gradient for this rank's rows. None if not asked for.
    """

    loss: torch.Tensor
    nll: torch.Tensor
    of_features: torch.Tensor | None
    of_weight: torch.Tensor | None


@torch.no_grad()
def divided_softmax_loss(
    features: torch.Tensor,
    weight: torch.Tensor,
    words: torch.Tensor,
    smoothing: float,
    vocabulary: int,
    group: dist.ProcessGroup | None = None,
    dtype: torch.dtype | None = None,
    gradients: bool = True,
) -> DividedLoss:
    """Computes `softmax_loss` of the whole matrix; every rank calls it with the same features.

    Rank i of the group has the rows `word_range(vocabulary, i, size)`. The gradients are computed
    with the loss, in chunks of rows, so that all logits are never in memory together.

    Args:
        features: (N, H), the same on all ranks.
        weight: (W, H) this rank's rows of the matrix.
        words: (N,) int64, the same on all ranks.
        smoothing: from 0 to 1.
        vocabulary: rows of the whole matrix.
        group: the ranks that divide the matrix; None for all.
        dtype: data type of the products; None for that of the weight.
        gradients: whether to compute the gradients.
    """
    part, parts = dist.get_rank(group), dist.get_world_size(group)
    first, end = word_range(vocabulary, part, parts)
    factor = weight.to(dtype or weight.dtype)
    wide = torch.promote_types(factor.dtype, torch.float32)
    loss, nll = features.new_zeros((2,), dtype=wide)
    of_features = torch.empty_like(features) if gradients else None
    of_weight = torch.zeros_like(weight) if gradients else None
    most_words = -(-vocabulary // parts)  # of any rank, so that all ranks have the same chunks
    for rows in row_chunks(len(features), most_words, weight.element_size()):
        chunk = features[rows].to(factor.dtype)
        logits = multiply(chunk, factor).to(wide)
        targets = (words[rows] - first).unsqueeze(1)
        here = (targets >= 0) & (targets < end - first)
        targets = targets.clamp(0, end - first - 1)
        chosen = logits.gather(1, targets).where(here, 0.0).squeeze(1)
        # log-normalizer by the largest logit: logsumexp would take as long as the product
        probabilities = torch.softmax(logits, dim=1)
        normalizer = logits.amax(dim=1) - probabilities.amax(dim=1).log()
        exchanged = _gathered(torch.stack([normalizer, chosen, logits.sum(dim=1)]), group)
        del logits
        whole = torch.logsumexp(exchanged[:, 0], dim=0)
        chosen, total = exchanged[:, 1:].sum(dim=0)
        chunk_nll = (whole - chosen).sum()
        nll, loss = nll + chunk_nll, loss + chunk_nll
        if smoothing:
            loss = loss + smoothing * (chosen - total / vocabulary).sum()
        if of_features is None or of_weight is None:
            continue
        probabilities.mul_((normalizer - whole).exp().unsqueeze(1)).sub_(smoothing / vocabulary)
        probabilities.scatter_add_(1, targets, here.to(wide) * (smoothing - 1))
        errors = probabilities.to(factor.dtype)
        of_features[rows] = multiply(errors, factor.t()).to(features.dtype)
        of_weight.add_(multiply(errors.t(), chunk.t()))
    return DividedLoss(loss, nll, of_features, of_weight)


def _gathered(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """(ranks, ...) the values of each rank."""
    every = [torch.empty_like(values) for _ in range(dist.get_world_size(group))]
    dist.all_gather(every, values, group)
    return torch.stack(every)
