"""Two processes never write the same output file; the second is refused and changes nothing."""

import fcntl
import os

import pytest


@pytest.fixture
def held(tmp_path):
    """A file that another process would be writing (locks of two open files exclude each other)."""
    path = tmp_path / "out"
    path.write_text("theirs\n")
    with open(path, "r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield path
    os.unlink(path)


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_a_second_writer_is_refused(s2st, world, tmp_path, held, name):
    if name != held.name:
        os.link(held, tmp_path / name)
    output = tmp_path / name
    pairs = ["--source", world.source, "--target", world.target]
    (tmp_path / "nbest").write_text("0 ||| le ||| ||| -1\n")
    model = ["--checkpoint", world.forward, "--threads", "1"]
    for command in (
        ["generate", *model, world.source],
        ["generate", *model, "-"],
        ["score", *model, *pairs],
        ["rescore-nbest", *model, tmp_path / "nbest", "--source", world.source],
    ):
        outcome = s2st(*command, "-o", output, stdin=b"the cat\n")
        outcome.check_error(74, f"{output}: another process is writing to it", "name another")
    assert held.read_text() == "theirs\n"
