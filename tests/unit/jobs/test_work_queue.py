"""The work queue: each task once, no claims of dead processes, no files lost or wrongly removed."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from s2st.errors import OutputError, UsageError
from s2st.jobs.folder_queue import FolderQueue
from s2st.jobs.rescore.distributed_scoring import BlockClaims
from s2st.jobs.rescore.sharding import BLOCK
from s2st.jobs.work_queue import TaskName
from s2st.process.ranks import Ranks

JOB = {"--beam": 12}
SEVERAL = Ranks(0, 2)


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


@pytest.fixture
def queue(tmp_path):
    """Opens the queue of tmp_path/out."""

    def open_queue(job=JOB, resume=False, ranks=SEVERAL, progress=None):
        return FolderQueue(tmp_path / "out", job, resume, ranks, 60, progress)

    return open_queue


def test_many_ranks_compute_every_task_once(tmp_path, queue):
    tasks = [TaskName(3 * i, 3) for i in range(60)]

    def work() -> None:
        mine = queue(resume=True)
        for task in tasks:
            if mine.claim(task.number) and not mine.finished(task):
                (tmp_path / f"{task.number} {os.getpid()}").touch()
                time.sleep(0.001)
                mine.publish(task, task.number)

    assert [ended(child) for child in [started(work) for _ in range(6)]] == [0] * 6
    made = [path.name.split() for path in tmp_path.iterdir() if path.is_file()]
    assert sorted(int(number) for number, _ in made) == [task.number for task in tasks]
    assert len({process for _, process in made}) > 1
    reported: list[int] = []
    last = queue(resume=True, progress=reported.append)
    assert [last.read(task) for task in tasks] == [task.number for task in tasks]
    last.claim(0)
    assert reported == [180]
    assert last.resumed == 180
    last.close(finished=True)
    assert not last.path.exists()


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path, queue):
    def work() -> None:
        mine = queue()
        assert mine.claim(0)
        (tmp_path / "claimed").touch()
        time.sleep(60)

    child = started(work)
    while not (tmp_path / "claimed").exists():
        time.sleep(0.01)
    other = queue()
    assert not other.claim(0)
    assert other.claim(1)
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert other.claim(0)


def test_a_second_process_with_the_same_output_is_refused(tmp_path, queue):
    def work() -> None:
        mine = queue(ranks=Ranks())
        (tmp_path / "opened").touch()
        time.sleep(60)
        mine.close(finished=False)

    child = started(work)
    while not (tmp_path / "opened").exists():
        time.sleep(0.01)
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"out\.parts: another process writes this output"):
            queue(ranks=Ranks(), resume=resume)
    os.kill(child, signal.SIGKILL)
    ended(child)
    queue(ranks=Ranks()).close(finished=True)


def test_the_results_of_another_job_are_refused_or_replaced(queue):
    first = queue({**JOB, "--nbest": 1})
    first.publish(TaskName(0, 1), "a")
    first.close(finished=False)
    same = queue({"--nbest": 1, **JOB}, resume=True)
    assert same.read(TaskName(0, 1)) == "a"
    same.close(finished=False)
    with pytest.raises(UsageError, match=r"out\.parts: left by a run that differs in --nbest;"):
        queue({**JOB, "--nbest": 2}, resume=True)
    with pytest.raises(UsageError, match="differs in --nbest;"):
        queue(JOB, resume=True)
    job = (same.path / "job").read_bytes()
    (same.path / "job").write_bytes(job[:-1])
    with pytest.raises(UsageError, match="its job file, which is damaged"):
        queue(resume=True)
    (same.path / "job").write_bytes(b"my job")
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"out\.parts/job: s2st did not write it"):
            queue(resume=resume)
    (same.path / "job").write_bytes(job)
    new = queue({**JOB, "--nbest": 2})  # without --resume a run starts anew
    assert new.read(TaskName(0, 1)) is None


def test_torchrun_restarts_go_on(queue, monkeypatch):
    first = queue()
    first.publish(TaskName(0, 1), "a")
    first.close(finished=False)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert queue().read(TaskName(0, 1)) == "a"


@pytest.mark.parametrize("change", ["cut", "flip", "empty", "link", "folder"])
def test_a_damaged_result_is_computed_again(tmp_path, queue, change):
    first = queue(ranks=Ranks())
    task, path = TaskName(0, 1), first.path / "0+1"
    first.publish(task, ["answer", 1.5])
    first.close(finished=False)
    data = path.read_bytes()
    if change == "cut":
        path.write_bytes(data[:-1])
    elif change == "flip":
        path.write_bytes(data.replace(b"answer", b"answeR"))
    elif change == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
        (tmp_path / "mine").write_bytes(data)
        path.symlink_to(tmp_path / "mine")
    again = queue(ranks=Ranks(), resume=True)
    assert again.read(task) is None
    again.publish(task, "new")
    assert again.read(task) == "new"
    if change in ("link", "folder"):
        assert (tmp_path / "mine").read_bytes() == data


def test_a_folder_that_s2st_did_not_make_is_refused_and_stays(tmp_path, queue):
    folder = tmp_path / "out.parts"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"out\.parts: contains 'thesis.tex'"):
        queue()
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    (folder / "thesis.tex").unlink()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="not the folder of a stopped run"):
        queue()
    assert not list((tmp_path / "elsewhere").iterdir())
    folder.unlink()
    folder.write_text("notes")
    with pytest.raises(OutputError, match="not the folder of a stopped run"):
        queue()
    assert folder.read_text() == "notes"


@pytest.mark.parametrize("name", ["claims", "job"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_links_and_pipes_in_the_folder_are_not_followed(tmp_path, queue, name, kind):
    folder = tmp_path / "out.parts"
    folder.mkdir()
    (tmp_path / "mine").write_text("mine")
    if kind == "link":
        (folder / name).symlink_to(tmp_path / "mine")
    else:
        os.mkfifo(folder / name)
    with pytest.raises(OutputError, match=name):
        queue()
    assert (tmp_path / "mine").read_text() == "mine"


def test_files_of_others_in_the_folder_survive_its_end(queue):
    mine = queue(ranks=Ranks())
    mine.publish(TaskName(0, 1), 1)
    (mine.path / "notes").write_text("mine")
    mine.close(finished=True)
    assert [path.name for path in mine.path.iterdir()] == ["notes"]


def test_ids_are_claimed_by_blocks_of_source_lines(tmp_path, queue):
    def work() -> None:
        mine = queue()
        assert mine.claim(1000 + 1)
        (tmp_path / "claimed").touch()
        time.sleep(60)

    child = started(work)  # another rank has block 1
    while not (tmp_path / "claimed").exists():
        time.sleep(0.01)
    try:
        parts = queue()
        claims = BlockClaims(parts, range(3 * BLOCK), 3 * BLOCK + 5, 1000)
        assert [i for i in range(0, 4 * BLOCK, 8) if claims.claim(i)] == [
            *range(0, BLOCK, 8), *range(2 * BLOCK, 3 * BLOCK, 8)
        ]  # fmt: skip
        # the last part answers for ids that no source line has
        last = BlockClaims(parts, range(3 * BLOCK, 3 * BLOCK + 5), 3 * BLOCK + 5, 1000)
        found = [i for i in range(0, 5 * BLOCK, 8) if last.claim(i)]
        assert found == list(range(3 * BLOCK, 5 * BLOCK, 8))
    finally:
        os.kill(child, signal.SIGKILL)
        ended(child)
