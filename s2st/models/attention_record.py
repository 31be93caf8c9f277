"""Attention weights of every layer and head, noted while a model reads a sentence pair.

Training needs no weights, only what they average, and torch's fused attention does not return any.
Inside `recorded`, the attention modules compute them as well and note them here.

Letters: B sentences, A heads, Q positions that read, K positions that are read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import torch
from torch import nn

Record: TypeAlias = dict[nn.Module, list[torch.Tensor]]
# a context variable, because several threads may use one model
_RECORD: ContextVar[Record | None] = ContextVar("attention record", default=None)


@contextmanager
def recorded() -> Iterator[Record]:
    """Yield a record that the attention modules fill in this thread."""
    record: Record = {}
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def is_recording() -> bool:
    """Return whether `note` keeps weights."""
    return _RECORD.get() is not None


def note(module: nn.Module, weights: torch.Tensor) -> None:
    """Keep weights (B, A, Q, K) of a module, after those noted before; does nothing if unasked."""
    record = _RECORD.get()
    if record is not None:
        record.setdefault(module, []).append(weights.detach())


def weights_of(record: Record, modules: Sequence[nn.Module]) -> tuple[torch.Tensor, ...]:
    """Return the weights (B, A, Q, K) of each module, whose queries may have come step by step."""
    return tuple(torch.cat(record[module], dim=2) for module in modules)
