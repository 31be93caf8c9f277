"""Rows of runs that are killed, or whose n-th durable operation is killed or fails."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from harness import KILLED, Warm
from report import Row, Setting
from small_run import SmallRun, content_of, leftovers, preprocess, write_texts

ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS")
MAX_STARTS = 50  # of a run that is killed again and again; it gets on unless the kills are early


def random_kills(setting: Setting) -> Row:
    """Trainings killed at random times until they are done; a case is a kill."""
    wanted = 12 if setting.short else 400
    draw = random.Random(setting.seed)
    cases = survived = 0
    run = SmallRun.straight(setting.warm, setting.folder)
    while cases < wanted:
        save_dir = setting.folder / "run"
        kills = 0
        for _ in range(MAX_STARTS):
            outcome = run.train(save_dir, kill_after=draw.uniform(0, run.seconds))
            if outcome.code != KILLED:
                break
            kills += 1
        alike = outcome.code in (0, KILLED) and run.ends_alike(save_dir)
        cases += kills
        survived += kills if alike else 0
        _clear(save_dir, alike)
    return Row("training killed (SIGKILL) at a random time", cases, survived, cases - survived)


def every_operation_killed(setting: Setting) -> Row:
    """SIGKILL before each durable operation of a training, and at one of the next run."""
    draw = random.Random(setting.seed)

    def case(run: SmallRun, save_dir: Path, number: int) -> bool:
        if run.train(save_dir, fault=f"kill:{number}").code != KILLED:
            return False
        again = run.train(save_dir, fault=f"kill:{draw.randint(1, len(run.operations))}")
        return again.code in (0, KILLED) and run.ends_alike(save_dir)

    return _each_operation(setting, "training killed at its n-th durable operation", case)


def every_operation_failed(setting: Setting) -> Row:
    """Each durable operation of a training fails with an error of the system."""

    def case(run: SmallRun, save_dir: Path, number: int) -> bool:
        outcome = run.train(save_dir, fault=f"fail:{number}:{ERRORS[number % len(ERRORS)]}")
        removal = run.operations[number - 1] == "remove"  # rubbish that stays stops nobody
        told = outcome.code == 74 and len(outcome.errors) == 1 and ".tmp" not in outcome.errors[0]
        return (told or (removal and outcome.code == 0)) and run.ends_alike(save_dir)

    return _each_operation(setting, "training whose n-th durable operation fails", case)


def _each_operation(
    setting: Setting, fault: str, case: Callable[[SmallRun, Path, int], bool]
) -> Row:
    cases = survived = 0
    run = SmallRun.straight(setting.warm, setting.folder)
    first = 1 + setting.seed % 16 if setting.short else 1
    for number in range(first, len(run.operations) + 1, 16 if setting.short else 1):
        save_dir = setting.folder / "run"
        good = case(run, save_dir, number)
        cases += 1
        survived += good
        _clear(save_dir, good)
    return Row(fault, cases, survived, cases - survived)


def every_preprocess_operation_failed(setting: Setting) -> Row:
    """Each durable operation of a preprocessing fails, or is killed: no store, or the whole one."""
    cases = survived = 0
    write_texts(setting.folder)
    operations = preprocess(setting.warm, setting.folder, setting.folder / "straight").operations
    whole = content_of(setting.folder / "straight")
    for number in range(1, len(operations) + 1, 16 if setting.short else 1):
        for fault, code in ((f"fail:{number}:ENOSPC", 74), (f"kill:{number}", KILLED)):
            parent = setting.folder / "run"
            outcome = preprocess(setting.warm, setting.folder, parent / "store", fault=fault)
            good = outcome.code == code and (code != 74 or len(outcome.errors) == 1)
            good = good and preprocess_ends_alike(setting.warm, parent / "store", whole)
            cases += 1
            survived += good
            _clear(parent, good)
    fault = "preprocess whose n-th durable operation fails or is killed"
    return Row(fault, cases, survived, cases - survived)


def preprocess_ends_alike(warm: Warm, store: Path, whole: dict[str, str]) -> bool:
    """Whether there is no store, or the whole one; and the whole one after the same command."""
    if not store.exists():
        again = preprocess(warm, store.parents[1], store)
        if again.code != 0 or leftovers(store.parent):
            return False
    return content_of(store) == whole


def _clear(folder: Path, good: bool) -> None:
    """Makes room for the next case; what was lost stays to be looked at."""
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        number = sum(1 for _ in folder.parent.glob("lost-*"))
        folder.rename(folder.parent / f"lost-{number}")
