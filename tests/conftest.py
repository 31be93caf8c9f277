"""Shared setup of all tests: one thread of torch, default signal handlers, dependent markers."""

import contextlib
import signal
import sys
from collections.abc import Iterator

import pytest
import simulated_device
import torch

from s2st.jobs.list_components import REGISTRIES
from s2st.options import registry

torch.set_num_threads(1)
# Register the simulated device now: torch's first backward pass starts the threads of all devices
# that it knows then. Tests that need the device are skipped where torch cannot register it.
with contextlib.suppress(ImportError, AttributeError):
    simulated_device.install()

# A shell without job control starts background commands with SIGINT ignored, and nohup ignores
# SIGHUP. The commands that tests start would inherit that and never end at such a signal.
for _name, _default in (
    ("SIGINT", signal.default_int_handler),
    ("SIGTERM", signal.SIG_DFL),
    ("SIGHUP", signal.SIG_DFL),
):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark an extensive test as slow, so that `-m "not slow"` leaves it out."""
    if item.get_closest_marker("extensive"):
        item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _plugins_leave_nothing() -> Iterator[None]:
    """Takes back what the plugins of a test registered: tests go through all registries."""
    entries = {name: dict(one._entries) for name, one in REGISTRIES.items()}
    loaded = list(registry._loaded_plugins)
    yield
    for module in set(registry._loaded_plugins) - set(loaded):
        sys.modules.pop(module, None)  # so that another test's `--plugin` registers it again
    registry._loaded_plugins[:] = loaded
    for name, one in REGISTRIES.items():
        one._entries.clear()
        one._entries.update(entries[name])


@pytest.fixture(scope="session")
def sim() -> torch.device:
    """The simulated device."""
    if not simulated_device.installed():
        pytest.skip("this version of torch cannot register the simulated device")
    return simulated_device.install()
