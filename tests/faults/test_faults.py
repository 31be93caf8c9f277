"""Trainings, preprocessings and exports with a fault at a durable operation: a sample of each.

`make torture` injects every one.
"""

import os
import subprocess
import sys
from pathlib import Path

import harness
import pytest
from harness import KILLED
from small_run import OPTIONS, content_of, leftovers, preprocess, write_texts

from s2st.training.checkpoint import read_run

pytestmark = pytest.mark.slow


def numbers(operations, count, first=1):
    """`count` numbers of operations spread evenly from `first` to the end."""
    step = (len(operations) - first) / (count - 1)
    return [round(first + index * step) for index in range(count)]


def check_error(outcome, code=74):
    assert outcome.code == code, outcome.err
    assert len(outcome.errors) == 1, outcome.err
    assert outcome.err.splitlines()[-1] == outcome.errors[0]
    assert "Traceback" not in outcome.err
    assert ".tmp" not in outcome.errors[0]


def test_a_training_killed_at_a_durable_operation_ends_alike(small_run, place):
    for number in numbers(small_run.operations, 5):
        save_dir = place / str(number)
        assert small_run.train(save_dir, fault=f"kill:{number}").code == KILLED
        assert small_run.ends_alike(save_dir), number


def test_the_last_checkpoint_is_there_while_it_is_replaced(small_run, place):
    """The last update is saved, validated, and saved again."""
    operations = small_run.operations
    renames = [i for i, name in enumerate(operations, start=1) if name == "rename"]
    for number in renames[-9:]:
        save_dir = place / str(number)
        assert small_run.train(save_dir, fault=f"kill:{number}").code == KILLED
        assert read_run(save_dir / "checkpoint_last").state.update >= 6
        read_run(save_dir / "checkpoint_best")
        assert small_run.ends_alike(save_dir), number


def test_an_operation_that_fails_ends_with_74_and_the_next_run_alike(small_run, place):
    for number in numbers(small_run.operations, 6, first=4):
        if small_run.operations[number - 1] == "remove":  # rubbish that stays stops nobody
            number -= 1
        save_dir = place / str(number)
        outcome = small_run.train(save_dir, fault=f"fail:{number}:ENOSPC")
        check_error(outcome)
        assert "No space left on device" in outcome.errors[0]
        assert small_run.ends_alike(save_dir), number


@pytest.mark.parametrize("limit", [4000, 9000])  # within the weights, and the optimiser's state
def test_a_limit_of_file_size(small_run, place, limit):
    check_error(small_run.train(place / "run", limits={"RLIMIT_FSIZE": limit}))
    assert not (place / "run" / "checkpoint_last").exists()
    assert small_run.ends_alike(place / "run")


def test_a_full_disk(small_run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)], capture_output=True
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        check_error(small_run.train(disk / "run"))
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        read_run(disk / "run" / "checkpoint_last")
        assert small_run.ends_alike(disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        outcome = small_run.train(disk / "run")
        check_error(outcome)
        assert "Read-only file system" in outcome.errors[0]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_update(small_run, place):
    (place / "file").write_text("")
    outcome = small_run.train(place / "file" / "run")
    check_error(outcome)
    assert "going on" not in outcome.err
    assert str(place / "file") in outcome.errors[0]
    locked = place / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() != 0:  # whom no permission stops
        check_error(small_run.train(locked))
        assert os.listdir(locked) == []


def test_leftovers_of_a_run_that_was_killed_are_swept(small_run, place):
    writes = [i for i, name in enumerate(small_run.operations, start=1) if name == "write"]
    assert small_run.train(place / "run", fault=f"kill:{writes[9]}").code == KILLED
    assert leftovers(place / "run")
    assert small_run.ends_alike(place / "run")
    assert leftovers(place / "run") == []


def test_a_preprocessing_that_fails_or_is_killed_leaves_no_store(warm, place):
    write_texts(place)
    operations = preprocess(warm, place, place / "straight").operations
    whole = content_of(place / "straight")
    renamed = operations.index("rename") + 1
    for number in [*numbers(operations[:renamed], 7), renamed]:
        check_error(preprocess(warm, place, place / "store", fault=f"fail:{number}:ENOSPC"))
        assert not (place / "store").exists()
        assert leftovers(place) == []
        killed = preprocess(warm, place, place / "store", fault=f"kill:{number}")
        assert killed.code == KILLED
        assert not (place / "store").exists()
        again = preprocess(warm, place, place / "store")
        assert again.code == 0, again.err
        assert leftovers(place) == []
        assert content_of(place / "store") == whole
        for path in (place / "store").iterdir():
            path.unlink()
        (place / "store").rmdir()


def test_an_export_that_fails_leaves_no_release(warm, small_run, place):
    save_dir = small_run.store.parent / "straight"
    command = ("export", save_dir / "checkpoint_best", place / "release")
    straight = warm.run(*command)
    whole = content_of(place / "release")
    os.rename(place / "release", place / "straight")
    renamed = straight.operations.index("rename") + 1
    for number in numbers(straight.operations[:renamed], 5):
        check_error(warm.run(*command, fault=f"fail:{number}:EIO"))
        assert not (place / "release").exists()
        assert leftovers(place) == []
    assert warm.run(*command).code == 0
    assert content_of(place / "release") == whole


def test_the_harness_injects_a_fault_into_a_process_of_its_own(small_run, place):
    """Without forks: what the other tests do is what a run from a shell does."""
    command = [sys.executable, str(Path(harness.__file__)), "train", str(small_run.store)]
    command += ["--save-dir", str(place / "run"), *OPTIONS]
    kill = {**os.environ, "S2ST_FAULT": f"kill:{len(small_run.operations) // 2}"}
    assert subprocess.run(command, env=kill, capture_output=True).returncode == KILLED
    assert small_run.ends_alike(place / "run")
