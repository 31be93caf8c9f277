"""Training checkpoints: numbered folders, links to the last and the best, training state.

`SAVE_DIR/checkpoint_0001200/` is a model folder (`model_files.py`) with `training/state.json` and
`training/optimizer.safetensors`. `checkpoint_last` and `checkpoint_best` are links.
"""

import contextlib
import json
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from s2st.errors import CheckpointError, DataError, InputMissingError, OutputError, reason
from s2st.models.model_files import (
    ModelRecord,
    SavedModel,
    read_at,
    save_tensors,
    write_manifest,
    write_model_files,
)
from s2st.options.config import MOST_INTEGER
from s2st.process import durable_files
from s2st.process.manifest import parse_json, read_small
from s2st.process.snapshots import steady
from s2st.training.save_folder_lock import HeldFolder

log = logging.getLogger("s2st")
STATE = "training/state.json"
OPTIMIZER = "training/optimizer.safetensors"
LAST, BEST = "checkpoint_last", "checkpoint_best"
ALIEN = "contains files that no training wrote"
_NUMBERED = re.compile(r"checkpoint_([0-9]{7,15})\+*")
_TEMPORARY = re.compile(r"\.(checkpoint_(?:[0-9]{7,15}\+*|last|best))\.tmp-.*")


@dataclass
class TrainingState:
    """The state that exact resume needs, besides weights and optimizer state.

    It has no random state: batch order follows from (seed, epoch), dropout from (seed, update).
    """

    update: int = 0
    epoch: int = 0
    position: int = 0  # number of this epoch's batches that were used
    best_nll: float | None = None
    best_update: int = 0
    bad_validations: int = 0
    train_nll_sum: float = 0.0  # since the last validation
    train_tokens: int = 0
    divergences: int = 0  # number of divergences that were skipped or restored
    rate_scale: float = 1.0  # each restore halves it
    schedule: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class RunIdentity:
    """Options, data and environment of a run, which resuming compares with its own.

    Attributes:
        options: options by name that must not change.
        data: hash of the store's content, which must not change.
        other: options that may change; resuming logs which did.
        environment: versions and devices on which the last bits depend
            (`s2st.process.device.environment`); resuming logs changes.
    """

    options: Mapping[str, Any]
    data: str
    other: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


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
        durable_files.make_folder(self._place)
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
        if durable_files.has_only_s2st_files(leftover):
            durable_files.remove_folder(leftover)
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

    def resume(self) -> "ResumedRun | None":
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
    ) -> str:
        """Write a checkpoint, move the links, and remove old checkpoints.

        A folder that contains files of other origin is never removed, whatever its name.

        Args:
            record: describes the model.
            weights: the model's tensors by name.
            optimizer: tensors from `optimizer_tensors`.
            state: training state; its update numbers the checkpoint.
            identity: options, data and environment of the run.

        Returns:
            Name of the checkpoint's folder.

        Raises:
            OutputError: the checkpoint cannot be written, or the folder was replaced.
        """
        try:
            return self._save(record, weights, optimizer, state, identity)
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
    ) -> str:
        self._check_held()
        name = plain = f"checkpoint_{state.update:07d}"

        def write(target: str) -> None:
            with durable_files.new_folder(self._place / target) as folder:
                durable_files.make_folder(folder / "training")
                write_model_files(folder, record, weights)
                save_tensors(folder / OPTIMIZER, optimizer)
                content = {"state": asdict(state), "identity": asdict(identity)}
                durable_files.write_file(folder / STATE, json.dumps(content, indent=1).encode())
                write_manifest(folder, record, _summary(state, identity))
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
        if spare != name and not durable_files.has_only_s2st_files(self._place / name):
            log.warning(
                "%s: %s; it is kept, and this checkpoint is named %s",
                self.folder / name, ALIEN, spare,
            )  # fmt: skip
            name = spare
        elif spare != name:  # this update was saved before
            if name in (self._target(LAST), self._target(BEST)):
                write(spare)  # the links must lead to a whole folder while this one is replaced
            durable_files.retire_folder(self._place / name)
        write(name)
        self._prune(state.update)
        return name

    def _target(self, link: str) -> str:
        path = self._place / link
        return os.readlink(path) if path.is_symlink() else ""

    def _prune(self, update: int) -> None:
        # later checkpoints were damaged: this run resumed before them, and will replace them
        numbered = numbered_checkpoints(self._place)
        found = [
            path.name
            for number, path in numbered
            if number <= update and durable_files.has_only_s2st_files(path)
        ]
        plain = [name for name in found if not name.endswith("+")]
        kept = {*plain[-self._keep_last :], self._target(LAST), self._target(BEST)}
        for name in found:
            if name not in kept:
                durable_files.retire_folder(self._place / name)


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


@dataclass(frozen=True)
class ResumedRun:
    """A checkpoint with training state, read and verified."""

    saved: SavedModel
    state: TrainingState
    identity: RunIdentity

    def load_into(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Load weights and optimizer state."""
        weights, tensors = self.tensors()
        model.load_state_dict(weights)
        restore_optimizer(optimizer, tensors)

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Read and check the weights and the optimizer's tensors, named as `optimizer_tensors`."""
        model = self.saved.load(torch.device("cpu"))
        tensors = self.saved.tensors(OPTIMIZER)
        check_optimizer_tensors(tensors, list(model.parameters()), self.saved.place / OPTIMIZER)
        return model.state_dict(), tensors


def read_run(folder: Path) -> ResumedRun:
    """Read a checkpoint with its training state.

    Raises:
        InputMissingError: there is no such folder.
        CheckpointError: the checkpoint is damaged, or has no training state.
    """
    return steady(folder, lambda place: read_run_at(place, folder))


def read_run_at(place: Path, folder: Path | None = None) -> ResumedRun:
    """Read a checkpoint with its training state once, from a folder whose links are resolved.

    Args:
        place: the folder.
        folder: its path as the user wrote it, by default `place`.

    Raises:
        S2STError: as `read_run`.
    """
    folder = place if folder is None else folder
    saved = read_at(place, folder=folder)
    path = place / STATE
    if not {STATE, OPTIMIZER} <= set(saved.manifest["files"]):
        message = "has no training state (it was exported), so training cannot resume from it"
        raise CheckpointError(message, str(folder))
    try:
        content = parse_json(read_small(path), path)
        state = TrainingState(**content["state"])
        identity = RunIdentity(**content["identity"])
        _check_types(state, identity)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError("damaged training state", str(path)) from error
    return ResumedRun(saved, state, identity)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer's state as "PARAMETER.NAME" -> tensor, PARAMETER being an index."""
    tensors = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"{index}.{name}"] = torch.as_tensor(value)
    return tensors


def _check_types(state: TrainingState, identity: RunIdentity) -> None:
    """Raise TypeError or ValueError for values that no run can have written."""
    for name, default in asdict(TrainingState()).items():
        value = getattr(state, name)
        number = default is None or isinstance(default, float)
        kind = (int, float) if number else type(default)
        if not isinstance(value, kind) and (value is not None or default is not None):
            raise TypeError(name)
    if min(state.update, state.epoch, state.position) < 0:
        raise ValueError("negative")
    for name, value in asdict(state).items():
        large = isinstance(value, int) and abs(value) > MOST_INTEGER
        # a word of probability 0 makes the validation loss infinite
        finite = name == "best_nll" or not isinstance(value, float) or math.isfinite(value)
        if large or not finite:
            raise ValueError(name)
    if not all(isinstance(row, dict) for row in state.history):
        raise TypeError("history")
    if not all(isinstance(value, int | float) for value in state.schedule.values()):
        raise TypeError("schedule")
    mappings = (identity.options, identity.other, identity.environment)
    if not isinstance(identity.data, str) or not all(isinstance(m, dict) for m in mappings):
        raise TypeError("identity")


def check_optimizer_tensors(
    tensors: Mapping[str, torch.Tensor], parameters: Sequence[torch.Tensor], path: Path
) -> None:
    """Check that each tensor belongs to a parameter and has its shape.

    Raises:
        CheckpointError: one does not; the message names it.
    """
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        known = name and index.isdecimal() and len(index) < 10 and int(index) < len(parameters)
        if not known or tensor.shape not in (torch.Size(), parameters[int(index)].shape):
            message = f"the optimizer's state does not fit the weights: {key[:80]!r}"
            raise CheckpointError(message, str(path))


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Load tensors from `optimizer_tensors` into an optimizer."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _summary(state: TrainingState, identity: RunIdentity) -> dict[str, Any]:
    """Return the summary of the training that `s2st inspect` shows."""
    return {
        "update": state.update,
        "epoch": state.epoch,
        "best_update": state.best_update,
        "best_nll": state.best_nll,
        "history": state.history,
        "options": dict(identity.options),
        "data": identity.data,
        "environment": dict(identity.environment),
    }
