"""Rows of bit rot: one bit, a lost end or a zeroed end in any file of a checkpoint or a store."""

import random
from collections.abc import Callable
from pathlib import Path

from report import Row, Setting
from rotten import damaged_copies, flip, make_run, make_store, truncate, zero_tail

from s2st.errors import DataError
from s2st.jobs.verify_checksums import verify
from s2st.models.model_files import read_saved


def flips(setting: Setting) -> Row:
    """Single bits, in files of every kind."""
    return _row(setting, "one bit flipped in a checkpoint's or store's file", flip, 12_000)


def truncations(setting: Setting) -> Row:
    """Files that end early."""
    return _row(setting, "file of a checkpoint or store cut short", truncate, 2_000)


def zero_tails(setting: Setting) -> Row:
    """Files whose end is zeros."""
    return _row(setting, "end of a checkpoint's or store's file zeroed", zero_tail, 2_000)


def _row(
    setting: Setting, fault: str, damage: Callable[[bytes, random.Random], bytes], cases: int
) -> Row:
    """A case survives where the damage is found and the error names the damaged file."""
    cases = cases // 20 if setting.short else cases
    draw = random.Random(setting.seed)
    store = make_store(setting.folder)
    model = make_run(setting.folder / "run", store)
    survived = 0
    for folder in (store, model):
        verify(folder)
        for copy, path in damaged_copies(folder, damage, cases // 2, draw):
            # loading a model finds what a full check finds
            checks = (verify,) if folder is store else (verify, read_saved)
            survived += all(_finds(check, copy, path) for check in checks)
        verify(copy)  # the copy was mended each time: it was the damage that was found
    return Row(fault, cases, survived, cases - survived)


def _finds(check: Callable[[Path], object], folder: Path, path: Path) -> bool:
    try:
        check(folder)
    except DataError as error:
        return error.path == str(path)
    return False
