"""Rows of power loss: every prefix of a run's operations, with what was not synced lost or torn."""

import os
import random
import shutil
from pathlib import Path

from disk import Disk, outages
from kills import preprocess_ends_alike
from report import Row, Setting
from small_run import SmallRun, content_of, preprocess, write_texts


def training(setting: Setting) -> Row:
    """The links of the save folder lead to a whole checkpoint, never older than the last saved."""
    cases = survived = 0
    draw = random.Random(setting.seed)
    run = SmallRun.straight(setting.warm, setting.folder)
    logged = setting.folder / "logged"
    logged.mkdir()
    assert run.train(logged / "run", fault=f"log:{setting.folder / 'log'}").code == 0
    disk = Disk(logged, setting.folder / "log")
    linked = pending = saved = 0
    resumed: dict[str, bool] = {}  # many operations leave the same state
    for number in range(len(disk.operations)):
        operation, path, other = disk.step()
        if operation == "link" and "checkpoint_last" in path.name:
            linked = int(other.removeprefix("checkpoint_").rstrip("+"))
        elif operation == "rename" and path.name == "checkpoint_last":
            pending = linked
        elif operation == "sync" and path == logged / "run":
            saved = pending  # a link that was renamed and synced must never be lost
        if setting.short and number % 16:
            continue
        for index, outage in enumerate(outages(draw, 1 if setting.short else 4)):
            found = setting.folder / "found"
            disk.rebuild(found, outage)
            good = links_are_good(found / "run", saved)
            if good and (index == number // 16 % 3 or not setting.short):
                state = state_of(found)
                if state not in resumed:
                    resumed[state] = run.ends_alike(found / "run", torn=True)
                good = resumed[state]
            cases += 1
            survived += good
            _clear(found, good, f"{number}-{index}")
    return Row("power lost in training, unsynced data torn", cases, survived, cases - survived)


def state_of(folder: Path) -> str:
    """All files and links below a folder."""
    links = {str(path): os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}
    return repr((content_of(folder), sorted(links.items())))


def links_are_good(save_dir: Path, saved: int) -> bool:
    """Whether the links lead to readable checkpoints, the last to update `saved` or a later one."""
    from s2st.errors import S2STError
    from s2st.training.checkpoint import read_run

    last = save_dir / "checkpoint_last"
    if saved and not last.is_symlink():
        return False
    try:
        for link in (last, save_dir / "checkpoint_best"):
            if link.is_symlink():
                read_run(link)
        return not saved or read_run(last).state.update >= saved
    except S2STError:
        return False


def preprocess_row(setting: Setting) -> Row:
    """There is no store, or the whole one; once the command ended it is there."""
    cases = survived = 0
    draw = random.Random(setting.seed)
    write_texts(setting.folder)
    logged = setting.folder / "logged"
    logged.mkdir()
    log = setting.folder / "log"
    made = preprocess(setting.warm, setting.folder, logged / "store", fault=f"log:{log}")
    assert made.code == 0, made.err
    whole = content_of(logged / "store")
    disk = Disk(logged, log)
    for number in range(len(disk.operations)):
        disk.step()
        if setting.short and number % 8 and number < len(disk.operations) - 3:
            continue
        for index, outage in enumerate(outages(draw, 1 if setting.short else 4)):
            found = setting.folder / "found"
            disk.rebuild(found, outage)
            ended = disk.done == len(disk.operations)
            good = (found / "store").exists() or not ended
            good = good and preprocess_ends_alike(setting.warm, found / "store", whole)
            cases += 1
            survived += good
            _clear(found, good, f"{number}-{index}")
    return Row("power lost in preprocess, unsynced data torn", cases, survived, cases - survived)


def _clear(found: Path, good: bool, name: str) -> None:
    if good:
        shutil.rmtree(found)
    else:
        found.rename(found.parent / f"lost-{name}")
