"""An interpreter that has stand-ins for the peers of the benchmarks, and one that has none."""

import shlex
import sys
from pathlib import Path

PEERS = ("opennmt", "fairseq", "joeynmt", "marian")


def with_peers(folder: Path) -> str:
    """A program that runs this interpreter with tests/benchmarks/peers on its path."""
    return _program(folder / "with-peers", f"PYTHONPATH={Path(__file__).parent / 'peers'}")


def without_peers(folder: Path) -> str:
    """A program that runs this interpreter with nothing on its path, whatever is installed."""
    return _program(folder / "without-peers", "PYTHONPATH= PYTHONNOUSERSITE=1", "-S")


def options(python: str, peers: tuple[str, ...] = PEERS) -> list[str]:
    """The benchmarks' options that name this interpreter for these peers."""
    return [text for peer in peers for text in (f"--{peer}", python)]


def _program(path: Path, environment: str, *flags: str) -> str:
    command = shlex.join([sys.executable, *flags])
    path.write_text(f'#!/bin/sh\n{environment} exec {command} "$@"\n', "utf-8")
    path.chmod(0o755)
    return str(path)
