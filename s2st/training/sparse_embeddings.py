"""Updates of embedding tables by the rows that were read, and the norm of such gradients.

With 160,000 + 80,000 words a dense update would move a gigabyte where a batch reads a few thousand
rows. An optimiser whose `sparse_tables` is true gives every sparse gradient to a rule of its own
and leaves the dense ones to torch's fused update.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from s2st.models.softmax.output_layer import Output


class SGD(torch.optim.SGD):
    """torch's fused SGD; without momentum and decay it takes sparse gradients too, exactly."""

    @property
    def sparse_tables(self) -> bool:
        """Whether rows without a gradient stay as they are."""
        return not any(group["momentum"] or group["weight_decay"] for group in self.param_groups)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; sparse gradients are gone afterwards."""
        for parameter, group, rows, values in _take_sparse(self):
            parameter.index_add_(0, rows, values, alpha=-group["lr"])
        super().step()


class LazyAdam(torch.optim.Adam):
    """torch's fused Adam; in a table with a sparse gradient only the rows read change.

    Adam moves every row at every update, by the mean of past gradients; here a row's mean and
    variance decay, and the row moves, only when it is read. The state is Adam's.
    """

    sparse_tables = True

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; sparse gradients are gone afterwards."""
        for parameter, group, rows, values in _take_sparse(self):
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
    """Kingma & Ba's algorithm 1 on some rows."""
    first, second = group["betas"]
    count = float(state["step"])
    mean = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - first)
    square = state["exp_avg_sq"].index_select(0, rows).mul_(second)
    square.addcmul_(values, values, value=1 - second)
    state["exp_avg"].index_copy_(0, rows, mean)
    state["exp_avg_sq"].index_copy_(0, rows, square)
    root = square.div_(1 - second**count).sqrt_().add_(group["eps"])
    parameter.index_add_(0, rows, mean.div_(root), alpha=-group["lr"] / (1 - first**count))


Taken = tuple[torch.Tensor, dict[str, Any], torch.Tensor, torch.Tensor]


def _take_sparse(optimizer: torch.optim.Optimizer) -> list[Taken]:
    """Takes sparse gradients away: (parameter's data, group, rows, values), each row once."""
    taken: list[Taken] = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.grad.is_sparse:
                gradient = parameter.grad.coalesce()
                parameter.grad = None
                taken.append((parameter, group, gradient.indices()[0], gradient.values()))
    return taken


def set_sparse_tables(model: nn.Module, sparse: bool) -> None:
    """Lets the gradients of all embedding tables be sparse, or dense.

    One that a softmax shares is dense: every word of it is read.
    """
    tied = [t for m in model.modules() if isinstance(m, Output) for t in m.tied]
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = sparse and not any(module is table for table in tied)


def sparse_parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """The embedding tables, by name, whose gradients are sparse."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.sparse and module.weight.requires_grad
    }


def coalesce_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Makes every row of a sparse gradient one: a word read twice counts once, summed."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()


@contextlib.contextmanager
def added_by_row(parameters: Iterable[torch.Tensor]) -> Iterator[None]:
    """Inside is a backward pass whose sparse gradients are summed before they are added.

    So the sum over batches is the same wherever each batch's gradient was made.
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
    """Scales all gradients by limit / norm where their common norm is larger; the norm before.

    Args:
        parameters: whose gradients, or this rank's parts of them.
        limit: the largest norm.
        over_ranks: the norm over all ranks from that of this rank's parts.
    """
    parameters = list(parameters)
    coalesce_gradients(parameters)
    gradients = [_values(p.grad) for p in parameters if p.grad is not None]
    norm = over_ranks(torch.nn.utils.get_total_norm(gradients))
    # a pass over all gradients, so not without need, unless asking would make a GPU wait
    if limit < math.inf and (norm.device.type != "cpu" or float(norm) > limit):
        scale = (limit / norm).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
    return norm


def _values(gradient: torch.Tensor) -> torch.Tensor:
    """The numbers of a gradient that are here: of a coalesced one, of a rank's part, or all."""
    if gradient.is_sparse:
        return gradient.values()
    if hasattr(gradient, "to_local"):  # a DTensor, whose module is not imported for nothing
        local: torch.Tensor = gradient.to_local()
        return local
    return gradient
