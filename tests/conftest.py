"""What every test shares: one thread, so that runs on shared machines stay quick and repeatable."""

import pytest
import torch

torch.set_num_threads(1)


def pytest_itemcollected(item: pytest.Item) -> None:
    """An extensive test is slow, so that `-m "not slow"` leaves it out too."""
    if item.get_closest_marker("extensive"):
        item.add_marker(pytest.mark.slow)
