"""Checkpoints of a run: numbered folders, links to the last and the best, training state.

`SAVE_DIR/checkpoint_0001200/` is a model folder (`s2st.models.saved`) with `training/state.json`
and `training/optimizer.safetensors`. `checkpoint_last` and `checkpoint_best` are links.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from s2st import durable
from s2st.errors import CheckpointError, DataError, InputMissingError
from s2st.manifest import parse_json, read_small
from s2st.models.saved import (
    ModelRecord,
    SavedModel,
    read_at,
    save_tensors,
    write_manifest,
    write_model_files,
)
from s2st.snapshots import steady

log = logging.getLogger("s2st")
STATE = "training/state.json"
OPTIMIZER = "training/optimizer.safetensors"
LAST, BEST = "checkpoint_last", "checkpoint_best"
_NUMBERED = re.compile(r"checkpoint_([0-9]{7,15})\+*")


@dataclass
class TrainingState:
    """Everything, beside weights and optimiser, that a run needs to go on exactly.

    Random states are not in it: batch order follows from (seed, epoch), dropout from
    (seed, update).
    """

    update: int = 0
    epoch: int = 0
    position: int = 0  # batches of this epoch that were used
    best_nll: float | None = None
    best_update: int = 0
    bad_validations: int = 0
    train_nll_sum: float = 0.0  # since the last validation
    train_tokens: int = 0
    divergences: int = 0  # that were skipped or restored
    rate_scale: float = 1.0  # halved by each restore
    schedule: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class RunIdentity:
    """What a resumed run must share with its start: options by name, and the store's hash.

    Attributes:
        other: options that may differ; a resumed run says which do.
        environment: what the last bits depend on (`s2st.device.environment`); likewise.
    """

    options: Mapping[str, Any]
    data: str
    other: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class CheckpointFolder:
    """The save folder of one run."""

    def __init__(self, folder: str | Path, keep_last: int) -> None:
        self.folder = Path(folder)
        self._keep_last = keep_last

    def prepare(self) -> None:
        """Makes the folder, sweeps unfinished leftovers, tries to write; raises OutputError."""
        durable.make_folder(self.folder)
        for leftover in self.folder.glob(".checkpoint_*.tmp-*"):
            if leftover.is_dir() and not leftover.is_symlink():
                durable.remove_folder(leftover)
            else:
                durable.remove_file(leftover)
        probe = self.folder / f".{LAST}.tmp-{os.getpid()}"
        durable.write_file(probe, b"")
        durable.remove_file(probe)

    def resume(self) -> "ResumedRun | None":
        """The run to go on with: checkpoint_last, or the newest good checkpoint if that is bad.

        None where the folder holds no checkpoint. Raises CheckpointError where none is good.
        """
        link, numbered = self.folder / LAST, numbered_checkpoints(self.folder)
        try:
            return read_run(link)
        except (DataError, InputMissingError) as error:
            if not numbered and not os.path.lexists(link):
                return None
            reason = str(error)
        for _, path in reversed(numbered):
            with contextlib.suppress(DataError, InputMissingError):
                run = read_run(path)
                # a run stopped within its first save leaves a checkpoint without links: no damage
                first = len(numbered) == 1 and not os.path.lexists(link)
                level = logging.INFO if first else logging.WARNING
                log.log(level, "%s; using %s instead", reason, path)
                return run
        message = f"no checkpoint in it can be used ({reason}); start anew in another --save-dir"
        raise CheckpointError(message, str(self.folder))

    def save(
        self,
        record: ModelRecord,
        weights: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, torch.Tensor],
        state: TrainingState,
        identity: RunIdentity,
    ) -> str:
        """Writes a checkpoint of this update, moves the links, removes old ones; its name.

        `optimizer` is as `optimizer_tensors` gives it.
        """
        name = f"checkpoint_{state.update:07d}"

        def write(target: str) -> None:
            with durable.new_folder(self.folder / target) as folder:
                durable.make_folder(folder / "training")
                write_model_files(folder, record, weights)
                save_tensors(folder / OPTIMIZER, optimizer)
                content = {"state": asdict(state), "identity": asdict(identity)}
                durable.write_file(folder / STATE, json.dumps(content, indent=1).encode())
                write_manifest(folder, record, _summary(state, identity))
            # best first: a best one newer than the last does no harm to a run that goes on
            if state.best_update == state.update or self._target(BEST).rstrip("+") == name:
                durable.point_link(self.folder / BEST, target)
            durable.point_link(self.folder / LAST, target)

        spare = name
        while (self.folder / spare).exists():
            spare += "+"
        if spare != name:  # saved before at this very update
            if name in (self._target(LAST), self._target(BEST)):
                write(spare)  # links to a folder that is always whole, while that one is replaced
            durable.retire_folder(self.folder / name)
        write(name)
        self._prune(state.update)
        return name

    def _target(self, link: str) -> str:
        path = self.folder / link
        return os.readlink(path) if path.is_symlink() else ""

    def _prune(self, update: int) -> None:
        # later ones were found bad: this run went on from before them, and will replace them
        numbered = numbered_checkpoints(self.folder)
        found = [path.name for number, path in numbered if number <= update]
        plain = [name for name in found if not name.endswith("+")]
        kept = {*plain[-self._keep_last :], self._target(LAST), self._target(BEST)}
        for name in found:
            if name not in kept:
                durable.retire_folder(self.folder / name)


def numbered_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(update, folder) of the checkpoints in a save folder, oldest first."""
    names = (_NUMBERED.fullmatch(path.name) for path in folder.glob("checkpoint_*"))
    return sorted((int(match[1]), folder / match[0]) for match in names if match)


@dataclass(frozen=True)
class ResumedRun:
    """A checkpoint with training state, read and verified."""

    saved: SavedModel
    state: TrainingState
    identity: RunIdentity

    def load_into(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Puts weights and optimiser state back."""
        weights, tensors = self.tensors()
        model.load_state_dict(weights)
        restore_optimizer(optimizer, tensors)

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Weights, and the optimiser's state as `optimizer_tensors` gives it, read and checked."""
        model = self.saved.load(torch.device("cpu"))
        tensors = self.saved.tensors(OPTIMIZER)
        check_optimizer_tensors(tensors, list(model.parameters()), self.saved.place / OPTIMIZER)
        return model.state_dict(), tensors


def read_run(folder: Path) -> ResumedRun:
    """Reads a checkpoint to resume from; raises CheckpointError if it holds no training state."""
    return steady(folder, lambda place: read_run_at(place, folder))


def read_run_at(place: Path, folder: Path | None = None) -> ResumedRun:
    """As `read_run`, of the folder itself, once; `folder` is as the user names it."""
    folder = place if folder is None else folder
    saved = read_at(place, folder=folder)
    path = place / STATE
    if not {STATE, OPTIMIZER} <= set(saved.manifest["files"]):
        message = "holds no training state (it is a release); training cannot go on from it"
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
    """The optimiser's state as "PARAMETER.NAME" -> tensor."""
    tensors = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"{index}.{name}"] = torch.as_tensor(value)
    return tensors


def _check_types(state: TrainingState, identity: RunIdentity) -> None:
    """Raises TypeError or ValueError for values that no run could have."""
    for name, default in asdict(TrainingState()).items():
        value = getattr(state, name)
        number = default is None or isinstance(default, float)
        kind = (int, float) if number else type(default)
        if not isinstance(value, kind) and (value is not None or default is not None):
            raise TypeError(name)
    if min(state.update, state.epoch, state.position) < 0:
        raise ValueError("negative")
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
    """Raises CheckpointError if a tensor belongs to no parameter or has not its shape."""
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        known = name and index.isdecimal() and len(index) < 10 and int(index) < len(parameters)
        if not known or tensor.shape not in (torch.Size(), parameters[int(index)].shape):
            message = f"the optimiser's state does not fit the weights: {key[:80]!r}"
            raise CheckpointError(message, str(path))


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Takes back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _summary(state: TrainingState, identity: RunIdentity) -> dict[str, Any]:
    """What `s2st inspect` shows of the training."""
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
