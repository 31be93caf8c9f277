"""Initial weights of a fine-tuned model: those of a checkpoint, and rows for further words."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from s2st.errors import UsageError
from s2st.models.model_building import planned_model
from s2st.models.model_files import WEIGHTS, SavedModel, read_at
from s2st.models.model_record import ModelRecord
from s2st.process.consistent_reads import steady


def check_fit(base: ModelRecord, record: ModelRecord, path: Path) -> None:
    """Check that a checkpoint's weights fit another model, except for further words.

    Args:
        base: the checkpoint's record.
        record: the model's record.
        path: the checkpoint, for the message.

    Raises:
        UsageError: a tensor is missing, not used, or has another shape.
    """
    found, wanted = (
        planned_model(each.architecture, each.config, base.sizes).state_dict()
        for each in (base, record)
    )
    for name in sorted({*found, *wanted}):
        here, there = (
            "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"
            for tensor in (found.get(name), wanted.get(name))
        )
        if here != there:
            raise UsageError(
                f"--finetune-from {path}: its weights do not fit these options: {name[:80]} is "
                f"{here} in the checkpoint and {there} in the architecture {record.architecture}; "
                "leave out --arch and the options of its sizes to use the checkpoint's"
            )


def begin_with_weights(model: nn.Module, record: ModelRecord, path: Path) -> list[str]:
    """Copy a checkpoint's weights into a new model.

    The checkpoint's words have the first ids. A tensor that grows with the number of words keeps
    its initial values where the checkpoint has none.

    Args:
        model: the model with its initial weights.
        record: the model's record.
        path: the checkpoint.

    Returns:
        Names of the tensors that have rows for further words.

    Raises:
        S2STError: the checkpoint cannot be read.
        UsageError: as `check_fit`.
    """

    def read(place: Path) -> tuple[SavedModel, dict[str, torch.Tensor]]:
        saved = read_at(place, whole=False, folder=path)
        return saved, saved.tensors(WEIGHTS)

    saved, weights = steady(path, read)
    check_fit(saved.record, record, path)
    state = model.state_dict()
    with torch.no_grad():
        for name, values in weights.items():
            state[name][tuple(slice(0, size) for size in values.shape)] = values
    return [name for name, values in weights.items() if state[name].shape != values.shape]


def broadcast_weights(model: nn.Module, device: torch.device) -> None:
    """Give every rank the weights of rank 0; `device` is where the ranks exchange tensors."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            sent = tensor.to(device)
            dist.broadcast(sent, 0)
            tensor.copy_(sent)
