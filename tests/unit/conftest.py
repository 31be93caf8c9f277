"""Shared fixtures of the unit tests."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("s2st", deadline=None)  # a busy machine is no failure
settings.load_profile("s2st")


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes bytes to a file `text` and returns its path."""

    def write(data: bytes, name: str = "text") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(autouse=True)
def _logger_propagates() -> Iterator[None]:
    """Lets caplog hear the library, also after a test that ran the command line."""
    logger = logging.getLogger("s2st")
    before = logger.propagate
    logger.propagate = True
    yield
    logger.propagate = before
