"""One warm process and one straight run for all tests that inject faults."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Warm
from small_run import SmallRun


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with Warm(tmp_path_factory.mktemp("warm")) as server:
        yield server


@pytest.fixture(scope="session")
def small_run(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return SmallRun.straight(warm, tmp_path_factory.mktemp("straight"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: runs of many fsyncs are quick there."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="s2st-test-", dir=memory))
    yield folder
    shutil.rmtree(folder)
