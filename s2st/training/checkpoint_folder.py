"""The save folder of a training: numbered checkpoints, and links to the last and the best.

Each `SAVE_DIR/checkpoint_0001200/` is a checkpoint (`checkpoint.py`). `checkpoint_last` and
`checkpoint_best` are links. Old checkpoints are removed.
"""

import contextlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from s2st.errors import CheckpointError, DataError, InputMissingError, OutputError, reason
from s2st.models.model_record import ModelRecord
from s2st.process import durable_files, durable_folders
from s2st.training.checkpoint import ResumedRun, RunIdentity, TrainingState, read_run, write_run
from s2st.training.save_folder_lock import HeldFolder

log = logging.getLogger("s2st")
LAST, BEST = "checkpoint_last", "checkpoint_best"
ALIEN = "contains files that no training wrote"
_NUMBERED = re.compile(r"checkpoint_([0-9]{7,15})\+*")
_TEMPORARY = re.compile(r"\.(checkpoint_(?:[0-9]{7,15}\+*|last|best))\.tmp-.*")


def likely_save_folder(path: Path) -> str:
    """Return "; did you mean FOLDER?" if the path's parent or a subfolder is a save folder.

    Return "" if neither is.
    """
    near = [path.parent, *sorted(path.glob("*/"))[:1000]] if path.is_dir() else []
    found = [folder for folder in near if os.path.lexists(folder / LAST)]
    return f"; did you mean {found[0]}?" if found else ""


class CheckpointFolder:
    """The save folder of one run.

    Args:
        folder: path of the save folder.
        keep_last: number of numbered checkpoints to keep.
        held: the same folder, held by `save_folder_lock.hold_folder`. Without it, no check finds
            that another process replaced the folder.
    """

    def __init__(self, folder: str | Path, keep_last: int, held: HeldFolder | None = None) -> None:
        self.folder = Path(folder)
        self._keep_last = keep_last
        self._held = held
        self._place = self.folder if held is None else held.place  # write through this path

    def _check_held(self) -> None:
        if self._held is not None:
            self._held.check()

    def prepare(self) -> None:
        """Create the folder, remove leftovers of stopped saves, and check that it is writable.

        Raises:
            OutputError: the folder cannot be written, or other files have the names of the links.
        """
        self._check_held()
        durable_folders.make_folder(self._place)
        for link in (LAST, BEST):
            self._check_link(link)
        for name in sorted(_names(self._place)):
            match = _TEMPORARY.fullmatch(name)
            if match and durable_files.creator(name, match[1]) is not None:
                self._sweep(self._place / name)
        probe = self._place / f".{LAST}.tmp-{os.getpid()}"
        durable_files.write_file(probe, b"")
        durable_files.remove_file(probe)

    def _sweep(self, leftover: Path) -> None:
        """Remove a leftover of a stopped save: a folder, a link, or the probe of `prepare`."""
        if durable_folders.has_only_s2st_files(leftover):
            durable_folders.remove_folder(leftover)
        elif _is_checkpoint_link(leftover) or (
            not durable_files.describe(leftover) and not leftover.stat().st_size
        ):
            durable_files.remove_file(leftover)

    def _check_link(self, name: str) -> None:
        """Check that a link's name is free or taken by such a link; raise OutputError if not."""
        path = self._place / name
        if os.path.lexists(path) and not _is_checkpoint_link(path):
            found = durable_files.describe(path) or "a file"
            which = "last" if name == LAST else "best"
            raise OutputError(
                f"{self.folder / name}: this is {found}; s2st needs the name for its link to the "
                f"{which} checkpoint; move it, or use another --save-dir"
            )

    def resume(self) -> ResumedRun | None:
        """Read the checkpoint to resume: checkpoint_last, or the newest good one if it is damaged.

        Returns:
            The checkpoint, None if the folder has no checkpoint.

        Raises:
            CheckpointError: the folder has checkpoints, but none can be used.
        """
        self._check_held()
        if not os.path.lexists(self.folder):
            return None
        link, numbered = self.folder / LAST, numbered_checkpoints(self.folder)
        try:
            return read_run(link)
        except (DataError, InputMissingError) as error:
            if not numbered and not os.path.lexists(link):
                return None
            cause = str(error)
        for _, path in reversed(numbered):
            with contextlib.suppress(DataError, InputMissingError):
                run = read_run(path)
                # a run stopped during its first save leaves a checkpoint without links: no damage
                first = len(numbered) == 1 and not os.path.lexists(link)
                level = logging.INFO if first else logging.WARNING
                log.log(level, "%s; using %s instead", cause, path)
                return run
        message = f"no checkpoint here can be used ({cause}); start anew with another --save-dir"
        raise CheckpointError(message, str(self.folder))

    def save(
        self,
        record: ModelRecord,
        weights: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, torch.Tensor],
        state: TrainingState,
        identity: RunIdentity,
        best: Sequence[int] = (),
    ) -> str:
        """Write a checkpoint, move the links, and remove old checkpoints.

        A folder that contains files of other origin is never removed, whatever its name.

        Args:
            record: describes the model.
            weights: the model's tensors by name.
            optimizer: tensors from `optimizer_tensors`.
            state: training state; its update numbers the checkpoint.
            identity: options, data and environment of the run.
            best: updates of further checkpoints to keep.

        Returns:
            Name of the checkpoint's folder.

        Raises:
            OutputError: the checkpoint cannot be written, or the folder was replaced.
        """
        try:
            return self._save(record, weights, optimizer, state, identity, best)
        except OutputError:
            self._check_held()  # a folder that is gone explains the error better
            raise

    def _save(
        self,
        record: ModelRecord,
        weights: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, torch.Tensor],
        state: TrainingState,
        identity: RunIdentity,
        best: Sequence[int],
    ) -> str:
        self._check_held()
        name = plain = f"checkpoint_{state.update:07d}"

        def write(target: str) -> None:
            with durable_folders.new_folder(self._place / target) as folder:
                write_run(folder, record, weights, optimizer, state, identity)
            self._check_held()  # again: writing the weights may have taken minutes
            # best first: resuming works although the best is newer than the last
            if state.best_update == state.update or self._target(BEST).rstrip("+") == plain:
                self._check_link(BEST)
                durable_files.point_link(self._place / BEST, target)
            self._check_link(LAST)
            durable_files.point_link(self._place / LAST, target)

        spare = name
        while os.path.lexists(self._place / spare):
            spare += "+"
        if spare != name and not durable_folders.has_only_s2st_files(self._place / name):
            log.warning(
                "%s: %s; it is kept, and this checkpoint is named %s",
                self.folder / name, ALIEN, spare,
            )  # fmt: skip
            name = spare
        elif spare != name:  # this update was saved before
            if name in (self._target(LAST), self._target(BEST)):
                write(spare)  # the links must lead to a whole folder while this one is replaced
            durable_folders.retire_folder(self._place / name)
        write(name)
        self._prune(state.update, best)
        return name

    def _target(self, link: str) -> str:
        path = self._place / link
        return os.readlink(path) if path.is_symlink() else ""

    def _prune(self, update: int, best: Sequence[int]) -> None:
        # later checkpoints were damaged: this run resumed before them, and will replace them
        numbered = numbered_checkpoints(self._place)
        found = [
            path.name
            for number, path in numbered
            if number <= update and durable_folders.has_only_s2st_files(path)
        ]
        plain = [name for name in found if not name.endswith("+")]
        kept = {*plain[-self._keep_last :], self._target(LAST), self._target(BEST)}
        kept |= {path.name for number, path in numbered if number in best}
        for name in found:
            if name not in kept:
                durable_folders.retire_folder(self._place / name)


def numbered_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (update, folder) of each checkpoint in a save folder, oldest first.

    Raises:
        InputMissingError: the folder cannot be read.
    """
    names = map(_NUMBERED.fullmatch, _names(folder))
    return sorted((int(match[1]), folder / match[0]) for match in names if match)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise InputMissingError(
            f"{durable_files.final_path(folder)}: cannot be read: {reason(error)}"
        ) from error


def _is_checkpoint_link(path: Path) -> bool:
    """Whether a path is a link to a numbered checkpoint beside it."""
    return path.is_symlink() and _NUMBERED.fullmatch(os.readlink(path)) is not None
