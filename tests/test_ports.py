"""Ports of tests: claimed against other processes, and of no use to the kernel."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import ports

HERE = Path(__file__).parent


def test_a_claimed_port_is_bound_by_its_owner_and_chosen_by_nobody_else():
    port = ports.free_port()
    assert 10_000 <= port < max(ports.first_ephemeral(), 12_000)
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
    other = f"""
import ports

class Dice:
    def randrange(self, start, end, left=[{port}, {port}, 11_111, *range(11_112, 11_400)]):
        return left.pop(0)

ports.random.SystemRandom = Dice
print(ports.free_port())
"""
    done = subprocess.run(
        [sys.executable, "-c", other], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) != port


def test_no_test_keeps_the_number_of_a_port_that_the_kernel_chose():
    """Where a socket has port 0, it listens itself: a number kept after it closed is a race."""
    for path in HERE.rglob("*.py"):
        text = path.read_text("utf-8")
        for found in re.finditer(r"\.bind\(\(.*, 0\)\)", text):
            assert ".listen(" in text[found.end() :][:80], f"{path}: use ports.free_port()"
