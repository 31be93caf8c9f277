"""Attention weights of every layer and head, noted while a model reads a sentence pair.

Training needs no weights, only what they average, and torch's fused attention does not return any.
Inside `recorded`, the attention modules compute them as well and note them here.

Letters: B sentences, A heads, Q positions that read, K positions that are read.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import nn

Record: TypeAlias = dict[nn.Module, list[torch.Tensor]]


@dataclass(frozen=True)
class _Request:
    """What is noted, and of which modules; None for all of them."""

    modules: Collection[nn.Module] | None
    gradient: bool
    record: Record = field(default_factory=dict)


# a context variable, because several threads may use one model
_REQUEST: ContextVar[_Request | None] = ContextVar("attention request", default=None)


@contextmanager
def recorded(
    modules: Collection[nn.Module] | None = None, gradient: bool = False
) -> Iterator[Record]:
    """Yield a record that the attention modules fill in this thread.

    Args:
        modules: those whose weights are wanted; None for all.
        gradient: whether the weights keep their gradient.
    """
    request = _Request(modules, gradient)
    token = _REQUEST.set(request)
    try:
        yield request.record
    finally:
        _REQUEST.reset(token)


def is_recording(module: nn.Module) -> bool:
    """Return whether `note` keeps the weights of a module."""
    request = _REQUEST.get()
    return request is not None and (request.modules is None or module in request.modules)


def note(module: nn.Module, weights: torch.Tensor) -> None:
    """Keep weights (B, A, Q, K) of a module, after those noted before; does nothing if unasked."""
    request = _REQUEST.get()
    if request is not None and is_recording(module):
        kept = weights if request.gradient else weights.detach()
        request.record.setdefault(module, []).append(kept)


def weights_of(record: Record, modules: Sequence[nn.Module]) -> tuple[torch.Tensor, ...]:
    """Return the weights (B, A, Q, K) of each module, whose queries may have come step by step."""
    return tuple(torch.cat(record[module], dim=2) for module in modules)
