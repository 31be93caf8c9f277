"""The k best words of each row of a table, without sorting the row.

Words are divided into groups. The k best words are in the k groups with the highest maxima, so only
these groups are searched.
"""

import torch

SMALL = 256  # vocabulary size below which grouping does not pay


def best_words(log_probs: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and ids (N, k) of the `count` best words of each row, best first.

    Args:
        log_probs: (N, V).
        count: number of words; k is V if V is smaller.
    """
    words = log_probs.shape[1]
    count = min(count, words)
    size = _group_size(words)
    groups = words // size
    if words < SMALL or groups < 4 * count:
        values, chosen = log_probs.topk(count, dim=1)
        return values, chosen
    rows = torch.arange(len(log_probs), device=log_probs.device).unsqueeze(1)
    whole = log_probs[:, : groups * size]
    rest = log_probs[:, groups * size :]  # words of no group
    grouped = torch.ops.aten.unflatten.int(whole, 1, [groups, size])
    best = grouped.amax(dim=2).topk(count, dim=1).indices
    if rest.shape[1]:
        inside = (best * size).unsqueeze(2) + torch.arange(size, device=best.device)
        candidates = torch.cat([log_probs.gather(1, inside.flatten(1)), rest], dim=1)
    else:
        table = log_probs.view(-1, size)
        candidates = table.index_select(0, (rows * groups + best).flatten())
        candidates = candidates.view(-1, count * size)
    values, at = best_words(candidates, count)
    group = (at // size).clamp_(max=count - 1)
    inside = best.gather(1, group) * size + at % size
    return values, torch.where(at < count * size, inside, at - count * size + groups * size)


def _group_size(words: int) -> int:
    """A size near the square root of the number of words, if possible a divisor of it."""
    root = max(1, round(words**0.5))
    return min(
        range(max(1, root // 2), 2 * root), key=lambda size: (words % size, abs(size - root))
    )
