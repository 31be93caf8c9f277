"""Rows of what is not s2st's: a user's files in the save folder, and a folder that is replaced."""

import os
import random
import shutil
import socket
import threading
import time
from pathlib import Path

from report import Row, Setting
from small_run import SmallRun, content_of, end_of

# what a training writes, sweeps, prunes or moves aside in its save folder
NAMES = (
    ".lock", "checkpoint_last", "checkpoint_best", "checkpoint_0000002", "checkpoint_0000003+",
    "checkpoint_0000008", ".checkpoint_0000002.tmp-7", ".checkpoint_0000002.tmp-old-7",
    ".checkpoint_last.tmp-7",
)  # fmt: skip
KINDS = (
    "file", "link", "dangling link", "link to a folder", "hard link", "folder", "fifo", "socket",
    "link to a device",
)  # fmt: skip
ERRORS = (65, 66, 74)


def foreign_files(setting: Setting) -> Row:
    """Trainings in a folder where a name of theirs is taken: no user's byte or link may change."""
    run = SmallRun.straight(setting.warm, setting.folder)
    cases = survived = 0
    for number, (name, kind) in enumerate((name, kind) for name in NAMES for kind in KINDS):
        if setting.short and number % 9 != setting.seed % 9:
            continue
        folder = setting.folder / "case"
        save_dir = folder / "run"
        save_dir.mkdir(parents=True)
        _put(save_dir / name, kind, folder / "users")
        before = _facts(save_dir / name), _facts(folder / "users")
        good = True
        for _ in range(2):  # a run, and the same command again
            outcome = run.train(save_dir)
            told = outcome.code in ERRORS and len(outcome.errors) == 1
            named = name in " ".join(outcome.errors) or "no checkpoint" in " ".join(outcome.errors)
            done = outcome.code == 0 and end_of(save_dir) == run.result
            good = good and (done or (told and named))
            good = good and (_facts(save_dir / name), _facts(folder / "users")) == before
        cases += 1
        survived += good
        _clear(folder, good)
    fault = "a name of a save folder's files taken by a user's"
    return Row(fault, cases, survived, cases - survived)


def _put(path: Path, kind: str, users: Path) -> None:
    """Something of a user's under a path, and what it leads to."""
    users.mkdir()
    (users / "precious").write_text("precious")
    if kind == "file":
        path.write_text("a user's")
    elif kind == "hard link":
        os.link(users / "precious", path)
    elif kind == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("a user's")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            here = os.getcwd()
            os.chdir(path.parent)  # such names are short
            server.bind(path.name)
            os.chdir(here)
    else:
        targets = {
            "link": users / "precious", "dangling link": users / "made",
            "link to a folder": users, "link to a device": Path("/dev/full"),
        }  # fmt: skip
        path.symlink_to(targets[kind])


def _facts(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, kind and content of a path and all below it."""
    found = {}
    for one in (path, *(path.rglob("*") if not path.is_symlink() else ())):
        if not os.path.lexists(one):
            continue
        facts = os.lstat(one)
        content = os.readlink(one).encode() if one.is_symlink() else b""
        if not content and one.is_file():
            content = one.read_bytes()
        found[str(one)] = facts.st_ino, facts.st_mode, content
    return found


def folder_replaced(setting: Setting) -> Row:
    """The save folder of a running training is removed, and is another run's by then."""
    wanted = 8 if setting.short else 200
    draw = random.Random(setting.seed)
    run = SmallRun.straight(setting.warm, setting.folder)
    other = setting.folder / "straight"
    cases = survived = 0
    while cases < wanted:
        folder = setting.folder / "case"
        save_dir = folder / "run"
        folder.mkdir()
        delay = draw.uniform(0, run.seconds)
        swap = threading.Thread(target=_swap, args=(save_dir, other, delay, bool(cases % 2)))
        swap.start()
        outcome = run.train(save_dir)
        late = swap.is_alive()
        swap.join()
        if late:  # the training had ended before: no case
            shutil.rmtree(folder)
            continue
        told = outcome.code == 74 and len(outcome.errors) == 1
        saved = outcome.code == 0  # all of it, just before
        good = (told or saved) and content_of(save_dir) == (content_of(other) if cases % 2 else {})
        cases += 1
        survived += good
        _clear(folder, good)
    fault = "the save folder removed or replaced while a training runs"
    return Row(fault, cases, survived, cases - survived)


def _swap(save_dir: Path, other: Path, delay: float, replace: bool) -> None:
    """Takes the folder away after a time, and puts another run's in its place."""
    ready = save_dir.with_name("ready")
    if replace:
        shutil.copytree(other, ready, symlinks=True)
    while not (save_dir / ".lock").exists():
        time.sleep(0.001)
    time.sleep(delay)
    save_dir.rename(save_dir.with_name("aside"))
    if replace:
        ready.rename(save_dir)


def _clear(folder: Path, good: bool) -> None:
    """Makes room for the next case; what was lost stays to be looked at."""
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        number = sum(1 for _ in folder.parent.glob("lost-*"))
        folder.rename(folder.parent / f"lost-{number}")
