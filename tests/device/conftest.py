"""The simulated accelerator, for the tests in this folder."""

import pytest
import torch
from simulated_device import install


@pytest.fixture(scope="session")
def sim() -> torch.device:
    """The simulated device, registered with torch."""
    return install()
