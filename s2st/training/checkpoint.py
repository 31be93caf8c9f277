"""One checkpoint of a training: a model folder with training state, written and read back.

A checkpoint is a model folder (`model_files.py`) with `training/state.json` and
`training/optimizer.safetensors`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from s2st.errors import CheckpointError
from s2st.models.model_files import SavedModel, read_at, write_manifest, write_model_files
from s2st.models.model_record import ModelRecord
from s2st.models.weight_files import save_tensors
from s2st.options.option_fields import MAX_INTEGER
from s2st.process import durable_files, durable_folders
from s2st.process.consistent_reads import steady
from s2st.process.folder_manifest import parse_json, read_small

STATE = "training/state.json"
OPTIMIZER = "training/optimizer.safetensors"


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
    best_value: float | None = None  # of a metric of translations; perplexity has best_nll
    reports: int = 0  # reports of updates and validations, which are lines of metrics.jsonl
    interval: dict[str, float] = field(default_factory=dict)  # sums since the last report
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


def write_run(
    folder: Path,
    record: ModelRecord,
    weights: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, torch.Tensor],
    state: TrainingState,
    identity: RunIdentity,
) -> None:
    """Write a checkpoint's files, the manifest last, into an empty folder.

    Args:
        folder: the new folder.
        record: describes the model.
        weights: the model's tensors by name.
        optimizer: tensors from `optimizer_tensors`.
        state: training state.
        identity: options, data and environment of the run.

    Raises:
        OutputError: a file cannot be written.
    """
    durable_folders.make_folder(folder / "training")
    write_model_files(folder, record, weights)
    save_tensors(folder / OPTIMIZER, optimizer)
    content = {"state": asdict(state), "identity": asdict(identity)}
    durable_files.write_file(folder / STATE, json.dumps(content, indent=1).encode())
    write_manifest(folder, record, _summary(state, identity))


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
        large = isinstance(value, int) and abs(value) > MAX_INTEGER
        # a word of probability 0 makes the validation loss infinite
        finite = name == "best_nll" or not isinstance(value, float) or math.isfinite(value)
        if large or not finite:
            raise ValueError(name)
    if not all(isinstance(row, dict) for row in state.history):
        raise TypeError("history")
    for values in (state.schedule, state.interval):
        if not all(isinstance(value, int | float) for value in values.values()):
            raise TypeError("schedule, interval")
    if not set(state.interval) <= {"updates", "target", "loss", "nll", "norm"}:
        raise ValueError("interval")
    if not all(abs(value) <= MAX_INTEGER for value in state.interval.values()):  # not NaN either
        raise ValueError("interval")
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
