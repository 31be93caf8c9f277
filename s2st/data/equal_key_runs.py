"""Runs: rows side by side that have the same key, such as the rows of one sentence."""

import torch


def run_positions(keys: torch.Tensor) -> torch.Tensor:
    """Position of each row within its run of equal keys, from 0.

    Args:
        keys: (N,) on any device; equal keys that are apart are different runs.

    Returns:
        (N,) int64: keys 7 7 3 7 give 0 1 0 0.
    """
    rows = torch.arange(len(keys), device=keys.device)
    starts = torch.ones_like(keys, dtype=torch.bool)
    starts[1:] = keys[1:] != keys[:-1]
    return rows - torch.where(starts, rows, 0).cummax(0).values
