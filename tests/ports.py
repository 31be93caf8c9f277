"""Ports for processes that a test starts: no other test or connection takes one in the meantime."""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_claims: list[socket.socket] = []


def first_ephemeral() -> int:
    """The lowest port that the kernel gives to connections and to those who ask for any port."""
    return int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768


def free_port() -> int:
    """A port for a process that binds it later, perhaps after a minute.

    A port that the kernel chose (port 0) may be another socket's by then. This one lies below the
    kernel's range. A UDP socket of the same number, which stays open as long as this process, tells
    the other processes of the tests that it is taken.
    """
    end = max(first_ephemeral(), 12_000)
    dice = random.SystemRandom()  # tests seed the module's own
    for _ in range(1000):
        port = dice.randrange(10_000, end)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise RuntimeError(f"no free port from 10000 to {end}")
