"""Checkpoints of a run: numbered folders, links to the last and the best, training state.

`SAVE_DIR/checkpoint_0001200/` is a model folder (`s2st.models.saved`) with `training/state.json`
and `training/optimizer.safetensors`. `checkpoint_last` and `checkpoint_best` are links.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from s2st import durable
from s2st.errors import CheckpointError
from s2st.models.base import Seq2SeqModel
from s2st.models.saved import (
    ModelRecord,
    SavedModel,
    load_tensors,
    read_saved,
    save_tensors,
    write_manifest,
    write_model_files,
)

STATE = "training/state.json"
OPTIMIZER = "training/optimizer.safetensors"
LAST, BEST = "checkpoint_last", "checkpoint_best"


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
    schedule: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class RunIdentity:
    """What a resumed run must share with its start: options by name, and the store's hash."""

    options: Mapping[str, Any]
    data: str


class CheckpointFolder:
    """The save folder of one run."""

    def __init__(self, folder: str | Path, keep_last: int) -> None:
        self.folder = Path(folder)
        self._keep_last = keep_last

    def prepare(self) -> None:
        """Makes the folder and sweeps unfinished leftovers; raises OutputError."""
        durable.make_folder(self.folder)
        for leftover in self.folder.glob(".checkpoint_*.tmp-*"):
            durable.remove_folder(leftover)
        probe = self.folder / f".probe-{os.getpid()}"
        durable.write_file(probe, b"")
        probe.unlink()

    @property
    def last(self) -> Path | None:
        """The newest checkpoint, None where there is none yet."""
        path = self.folder / LAST
        return path if path.exists() else None

    def save(
        self,
        record: ModelRecord,
        model: Seq2SeqModel,
        optimizer: torch.optim.Optimizer,
        state: TrainingState,
        identity: RunIdentity,
    ) -> str:
        """Writes a checkpoint of this update, moves the links, removes old ones; its name."""
        name = f"checkpoint_{state.update:07d}"
        temporary = self.folder / f".{name}.tmp-{os.getpid()}"
        durable.remove_folder(temporary)
        durable.make_folder(temporary / "training")
        write_model_files(temporary, record, model.state_dict())
        save_tensors(temporary / OPTIMIZER, optimizer_tensors(optimizer))
        content = {"state": asdict(state), "identity": asdict(identity)}
        durable.write_file(temporary / STATE, json.dumps(content, indent=1).encode())
        write_manifest(temporary, record, _summary(state, identity))
        durable.sync_path(temporary / "training")
        final = self.folder / name
        if final.exists():  # saved before at this very update: replace it
            aside = self.folder / f".{name}.tmp-old-{os.getpid()}"
            os.replace(final, aside)
            durable.publish(temporary, final)
            durable.remove_folder(aside)
        else:
            durable.publish(temporary, final)
        durable.point_link(self.folder / LAST, name)
        if state.best_update == state.update:
            durable.point_link(self.folder / BEST, name)
        self._prune(state.best_update)
        return name

    def _prune(self, best_update: int) -> None:
        found = self.folder.glob("checkpoint_[0-9]*")
        numbered = sorted(found, key=lambda path: (len(path.name), path.name))
        for path in numbered[: -self._keep_last]:
            if path.name != f"checkpoint_{best_update:07d}":
                durable.remove_folder(path)


@dataclass(frozen=True)
class ResumedRun:
    """A checkpoint with training state, read and verified."""

    saved: SavedModel
    state: TrainingState
    identity: RunIdentity

    def load_into(self, model: Seq2SeqModel, optimizer: torch.optim.Optimizer) -> None:
        """Puts weights and optimiser state back."""
        model.load_state_dict(self.saved.load(torch.device("cpu")).state_dict())
        restore_optimizer(optimizer, load_tensors(self.saved.folder / OPTIMIZER))


def read_run(folder: Path) -> ResumedRun:
    """Reads a checkpoint to resume from; raises CheckpointError if it holds no training state."""
    saved = read_saved(folder)
    path = folder / STATE
    try:
        content = json.loads(path.read_bytes())
        state = TrainingState(**content["state"])
        identity = RunIdentity(**content["identity"])
    except FileNotFoundError as error:
        message = "holds no training state (it is a release); training cannot go on from it"
        raise CheckpointError(message, str(folder)) from error
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
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
