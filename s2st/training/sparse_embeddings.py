"""Sparse embedding gradients: row-wise SGD and Adam updates, summation and clipping.

With vocabularies of 160,000 + 80,000 words, a dense update writes a gigabyte although a batch reads
a few thousand rows. An optimizer whose `sparse_tables` is true updates the rows of sparse gradients
itself and leaves the dense gradients to torch's fused update.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from s2st.models.softmax.output_layer import Output


class SGD(torch.optim.SGD):
    """torch's fused SGD, which accepts sparse gradients, exactly, without momentum and decay."""

    @property
    def sparse_tables(self) -> bool:
        """Whether an update leaves the rows without a gradient unchanged."""
        return not any(group["momentum"] or group["weight_decay"] for group in self.param_groups)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; sparse gradients are gone afterwards."""
        for parameter, group, rows, values in _take_sparse_gradients(self):
            parameter.index_add_(0, rows, values, alpha=-group["lr"])
        super().step()


class LazyAdam(torch.optim.Adam):
    """torch's fused Adam, which changes only the rows read in tables with a sparse gradient.

    Adam changes every row at every update, by the mean of past gradients. Lazy Adam changes a row,
    its mean and its variance only at updates that read the row. The optimizer state is Adam's.
    """

    sparse_tables = True

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; sparse gradients are gone afterwards."""
        for parameter, group, rows, values in _take_sparse_gradients(self):
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            state["step"] += 1
            _adam_rows(parameter, group, rows, values, state)
        super().step()


def _adam_rows(
    parameter: torch.Tensor,
    group: dict[str, Any],
    rows: torch.Tensor,
    values: torch.Tensor,
    state: dict[str, torch.Tensor],
) -> None:
    """Apply algorithm 1 of Kingma & Ba (2015) to some rows."""
    first, second = group["betas"]
    count = state["step"].double()  # stays on the device: reading a number would wait for a GPU
    mean = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - first)
    square = state["exp_avg_sq"].index_select(0, rows).mul_(second)
    square.addcmul_(values, values, value=1 - second)
    state["exp_avg"].index_copy_(0, rows, mean)
    state["exp_avg_sq"].index_copy_(0, rows, square)
    root = square.div_(1 - second**count).sqrt_().add_(group["eps"])
    change = mean.div_(root).mul_(group["lr"] / (1 - first**count))
    parameter.index_add_(0, rows, change, alpha=-1)


RowGradient = tuple[torch.Tensor, dict[str, Any], torch.Tensor, torch.Tensor]


def _take_sparse_gradients(optimizer: torch.optim.Optimizer) -> list[RowGradient]:
    """Remove all sparse gradients from the parameters and return them.

    Returns:
        (parameter, its parameter group, rows, values), each row once.
    """
    gradients: list[RowGradient] = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.grad.is_sparse:
                gradient = parameter.grad.coalesce()
                parameter.grad = None
                gradients.append((parameter, group, gradient.indices()[0], gradient.values()))
    return gradients


def set_sparse_tables(model: nn.Module, sparse: bool) -> None:
    """Choose sparse or dense gradients for all embedding tables.

    The gradient of a table that the softmax shares stays dense, because the softmax reads all rows.
    """
    tied = [t for m in model.modules() if isinstance(m, Output) for t in m.tied]
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = sparse and not any(module is table for table in tied)


def sparse_parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the embedding tables with sparse gradients, by name."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.sparse and module.weight.requires_grad
    }


def coalesce_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Sum the entries of each sparse gradient that belong to the same row."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()


@contextlib.contextmanager
def added_by_row(parameters: Iterable[torch.Tensor]) -> Iterator[None]:
    """Sum the sparse gradients of the backward pass inside, then add them to the earlier ones.

    The sum over batches then has the same bits whichever rank computed each batch.
    """
    parameters = list(parameters)
    before = [(p, p.grad) for p in parameters if p.grad is not None and p.grad.is_sparse]
    for parameter, _ in before:
        parameter.grad = None
    yield
    coalesce_gradients(parameters)
    for parameter, gradient in before:
        parameter.grad = gradient if parameter.grad is None else gradient + parameter.grad
    coalesce_gradients(parameters)


@torch.no_grad()
def clip_gradients(
    parameters: Iterable[torch.Tensor],
    limit: float,
    over_ranks: Callable[[torch.Tensor], torch.Tensor] = lambda norm: norm,
) -> torch.Tensor:
    """Scale all gradients by limit / norm if their common norm exceeds the limit.

    Args:
        parameters: the parameters, or this rank's parts of them.
        limit: the largest norm.
        over_ranks: returns the norm over all ranks from the norm of this rank's parts.

    Returns:
        The norm before scaling, a scalar tensor.
    """
    parameters = list(parameters)
    coalesce_gradients(parameters)
    gradients = [_values(p.grad) for p in parameters if p.grad is not None]
    norm = over_ranks(_total_norm(gradients))
    # on a CPU skip the pass over all gradients if possible; on a GPU the check itself would wait
    if limit < math.inf and (norm.device.type != "cpu" or float(norm) > limit):
        scale = (limit / norm).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
    return norm


def _total_norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return the common norm, which does not depend on how many of the gradients are zero.

    In one process a part of the model without a batch has no gradient, with ranks it has zeros.
    More numbers change the order of a sum, and so the last bits of one in float32.
    """
    if not gradients:
        return torch.zeros(())
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
    total: torch.Tensor = torch.linalg.vector_norm(norms, dtype=torch.float64)
    return total.to(norms.dtype)


def _values(gradient: torch.Tensor) -> torch.Tensor:
    """Return the values of a gradient on this rank: sparse values, a local shard, or all."""
    if gradient.is_sparse:
        return gradient.values()
    if hasattr(gradient, "to_local"):  # a DTensor; importing its module takes long
        local: torch.Tensor = gradient.to_local()
        return local
    return gradient
