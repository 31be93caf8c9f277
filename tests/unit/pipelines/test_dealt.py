"""Dealing of pieces to processes: each piece once, and nothing held by the dead."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from s2st.errors import UsageError
from s2st.pipelines.dealt import Parts, PieceName
from s2st.pipelines.dealt_lists import ClaimedIds
from s2st.pipelines.rescore import BLOCK

JOB = {"--beam": 12}


def started(work: Callable[[], None]) -> int:
    """A process of its own that does some work."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_every_piece_is_computed_once_by_many_claimants(tmp_path):
    pieces = [PieceName(3 * i, 3) for i in range(60)]

    def work() -> None:
        parts = Parts(tmp_path / "out", JOB)
        for piece in pieces:
            if parts.claim(piece):
                (tmp_path / f"{piece.number} {os.getpid()}").touch()
                time.sleep(0.001)
                parts.publish(piece, str(piece.number).encode())

    assert [ended(child) for child in [started(work) for _ in range(6)]] == [0] * 6
    made = [path.name.split() for path in tmp_path.iterdir() if path.is_file()]
    assert sorted(int(number) for number, _ in made) == [piece.number for piece in pieces]
    assert len({process for _, process in made}) > 1
    told: list[int] = []
    parts = Parts(tmp_path / "out", JOB, told.append)
    assert [parts.read(piece) for piece in pieces] == [b"%d" % piece.number for piece in pieces]
    assert not any(parts.claim(piece) for piece in pieces)
    assert told == [180]
    parts.close(remove=True)
    assert not parts.path.exists()


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path):
    piece = PieceName(0, 1)

    def work() -> None:
        assert Parts(tmp_path / "out", JOB).claim(piece)
        (tmp_path / "claimed").touch()
        time.sleep(60)

    child = started(work)
    while not (tmp_path / "claimed").exists():
        time.sleep(0.01)
    parts = Parts(tmp_path / "out", JOB)
    assert not parts.claim(piece)
    assert parts.claim(PieceName(1, 1))
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert parts.claim(piece)


def test_the_folder_of_another_job_is_refused(tmp_path):
    Parts(tmp_path / "out", {**JOB, "--nbest": 1}).close(remove=False)
    Parts(tmp_path / "out", {"--nbest": 1, **JOB}).close(remove=False)
    with pytest.raises(UsageError, match=r"out\.parts: left by a run that differs in --nbest;"):
        Parts(tmp_path / "out", {**JOB, "--nbest": 2})
    (tmp_path / "out.parts" / "job.json").write_bytes(b"{")
    with pytest.raises(UsageError, match="nothing that is known"):
        Parts(tmp_path / "out", JOB)


def test_ids_are_claimed_by_blocks_of_source_lines(tmp_path):
    parts = Parts(tmp_path / "out", JOB)
    parts.publish(PieceName(1000 + 1, BLOCK), b"")  # another rank was there
    ids = ClaimedIds(parts, range(3 * BLOCK), 3 * BLOCK + 5, 1000)
    assert [i for i in range(0, 4 * BLOCK, 8) if i in ids] == [
        *range(0, BLOCK, 8), *range(2 * BLOCK, 3 * BLOCK, 8)
    ]  # fmt: skip
    assert ids.seen == [PieceName(1000 + i, BLOCK) for i in range(3)]
    # the last part answers for ids that no source line has
    last = ClaimedIds(parts, range(3 * BLOCK, 3 * BLOCK + 5), 3 * BLOCK + 5, 1000)
    assert [i for i in range(0, 5 * BLOCK, 8) if i in last] == list(range(3 * BLOCK, 5 * BLOCK, 8))
    assert last.seen == [PieceName(1003, 5)]
