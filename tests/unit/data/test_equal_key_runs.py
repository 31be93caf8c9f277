"""Positions within runs of equal keys."""

import pytest
import torch

from s2st.data.equal_key_runs import run_positions


@pytest.mark.parametrize(
    ("keys", "positions"),
    [
        ([], []),
        ([5], [0]),
        ([7, 7, 3, 7], [0, 1, 0, 0]),
        ([0, 0, 0, 1, 2, 2], [0, 1, 2, 0, 0, 1]),
    ],
)
def test_positions_start_again_in_each_run(keys, positions):
    found = run_positions(torch.tensor(keys, dtype=torch.int64))
    assert found.dtype == torch.int64
    assert found.tolist() == positions
