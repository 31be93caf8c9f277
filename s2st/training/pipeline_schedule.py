"""Stages of a model on ranks of their own, run by torch.distributed.pipelining over micro-batches.

Ranks are a grid: stages x columns. A column is a whole pipeline with its own share of each batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe

from s2st.data.batch import Batch, SourceBatch, moved
from s2st.models.base import ModelStage
from s2st.process.device import autocast
from s2st.process.ranks import stdout_to_stderr
from s2st.text.vocabulary import EOS_ID, PAD_ID

# the last stage's features -> the loss's gradient of them; None in and out on other stages
Between = Callable[[torch.Tensor | None], torch.Tensor | None]


@dataclass(frozen=True)
class Grid:
    """The ranks in rows (stages) and columns, and where this one is.

    Rank r has stage r // columns in column r % columns: ranks of a stage are neighbours.

    Attributes:
        mesh: of the dimensions "stage" (the group is this rank's column) and "column" (the group
            is all ranks of this rank's stage).
    """

    stages: int
    columns: int
    stage: int
    column: int
    mesh: DeviceMesh

    @property
    def last(self) -> bool:
        """Whether this rank has the last stage."""
        return self.stage == self.stages - 1

    def rank_of(self, stage: int, column: int) -> int:
        """The rank at a place."""
        return stage * self.columns + column


def make_grid(stages: int, columns: int, device: torch.device, seconds: float) -> Grid:
    """Joins the ranks of each row and column in groups with a time-out of their own."""
    numbers = torch.arange(stages * columns).view(stages, columns)
    stage, column = divmod(dist.get_rank(), columns)
    timeout = timedelta(seconds=seconds)
    # All ranks make all groups. Newer torch declares another type than `from_group` takes.
    with stdout_to_stderr():
        lines: list[Any] = [dist.new_group(line, timeout) for line in numbers.t().tolist()]
        rows: list[Any] = [dist.new_group(row, timeout) for row in numbers.tolist()]
    mesh = DeviceMesh.from_group(
        [lines[column], rows[stage]], device.type, numbers, mesh_dim_names=("stage", "column")
    )
    return Grid(stages, columns, stage, column, mesh)


def shares(batch: Batch, columns: int, micro_batches: int) -> list[Batch]:
    """The batch dealt to the columns: for each, micro-batches of one size behind each other.

    Sentences of near-equal length come together. Where the batch cannot be divided evenly, source
    sentences of nothing but EOS with an empty target are added, which count nowhere.
    """
    size = -(-len(batch) // (columns * micro_batches))
    order = torch.argsort(batch.target_lengths * 10_000 + batch.source.lengths, stable=True)
    padding = torch.full((columns * micro_batches * size - len(batch),), len(batch))
    rows = torch.cat([order, padding]).view(micro_batches, columns, size)
    source = nn.functional.pad(batch.source.tokens, (0, 0, 0, 1), value=PAD_ID)
    source[-1, 0] = EOS_ID
    source_lengths = nn.functional.pad(batch.source.lengths, (0, 1), value=1)
    target_in, target_out = (
        nn.functional.pad(ids, (0, 0, 0, 1), value=PAD_ID)
        for ids in (batch.target_in, batch.target_out)
    )
    target_lengths = nn.functional.pad(batch.target_lengths, (0, 1))
    dealt = []
    for column in range(columns):
        chosen = rows[:, column].flatten()
        there = moved(chosen, source.device)
        dealt.append(
            Batch(
                SourceBatch(source[there], source_lengths[chosen], tuple(chosen.tolist())),
                target_in[there],
                target_out[there],
                target_lengths[chosen],
            )
        )
    return dealt


class Pipeline:
    """This rank's stage in its column.

    Args:
        stage: its layers, on `device`.
        grid: all ranks.
        width: of all states between stages, and of the features.
        micro_batches: that a column's share is divided into.
        device, precision: where and in which numbers to compute.

    Attributes:
        bytes_exchanged: that this rank gave to the stages beside it so far.
    """

    def __init__(
        self,
        stage: ModelStage,
        grid: Grid,
        width: int,
        micro_batches: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self._stage = _Run(stage, device, precision)
        self._grid = grid
        self._width = width
        self._micro_batches = micro_batches
        self._device = device
        self.bytes_exchanged = 0

    def features(self, share: Batch) -> torch.Tensor | None:
        """(B, T, H) of the column's share, made without gradients, on the last stage."""
        return self._step(self._connect(share, _nothing), None, share)

    def gradients(self, share: Batch, between: Between) -> None:
        """Adds to the gradients of this stage's weights.

        Args:
            share: the column's.
            between: called on all ranks at once, after all forward passes and before the first
                backward pass, with the features (B, T, H) on the last stage.
        """
        features: list[torch.Tensor] = []
        found: list[torch.Tensor] = []

        def all_done() -> None:
            gradient = between(torch.cat(features) if features else None)
            if gradient is not None:
                found.extend(gradient.chunk(self._micro_batches))

        def surrogate(output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            """Something to call backward on; what comes back is the gradient made between."""
            index = len(features)
            features.append(output.detach())
            output.register_hook(lambda _: found[index])
            return output.sum()

        stage = self._connect(share, all_done)
        self._step(stage, surrogate, share)

    def _step(
        self, stage: "_Stage", loss: Callable[..., torch.Tensor] | None, share: Batch
    ) -> torch.Tensor | None:
        # unless told not to, it divides the gradients that there are, even without a loss
        schedule = ScheduleGPipe(stage, self._micro_batches, loss, scale_grads=False)
        source, target = share.source.tokens, share.target_in
        features: torch.Tensor | None = schedule.step(
            *((source, target) if self._grid.stage == 0 else ()),
            target=share.target_lengths if self._grid.last else None,
            source_lengths=share.source.lengths,
            target_lengths=share.target_lengths,
        )
        states = source.numel() + target.numel()
        directions = (not self._grid.last) + (self._grid.stage > 0 and torch.is_grad_enabled())
        self.bytes_exchanged += directions * states * self._width * self._stage.dtype.itemsize
        return features

    def _connect(self, share: Batch, between: Callable[[], None]) -> "_Stage":
        """The stage for this share's shapes: one that ran cannot take others."""
        size = len(share) // self._micro_batches
        widths = share.source.tokens.shape[1], share.target_in.shape[1]
        dtype = self._stage.dtype

        def states(*shape: int) -> torch.Tensor:
            return torch.empty(shape, dtype=dtype, device="meta", requires_grad=True)

        inside = tuple(states(width, size, self._width) for width in widths)
        ids = tuple(torch.empty((size, w), dtype=torch.int64, device="meta") for w in widths)
        stage = _Stage(
            self._stage, self._grid.stage, self._grid.stages, self._device,
            input_args=inside if self._grid.stage else ids,
            output_args=states(size, widths[1], self._width) if self._grid.last else inside,
            group=self._grid.mesh.get_group("stage"),
        )  # fmt: skip
        stage.between = between
        return stage


class _Run(nn.Module):
    """A stage as torch's schedule wants it: what is sent is contiguous and of the weights' type."""

    def __init__(self, stage: ModelStage, device: torch.device, precision: str) -> None:
        super().__init__()
        self.stage = stage
        self.dtype = next(stage.parameters()).dtype
        self._device = device
        self._precision = precision

    def forward(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        source_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        with autocast(self._device, self._precision):
            states = self.stage(_entered(source), _entered(target), source_lengths, target_lengths)
        sent = tuple(packed(each.to(self.dtype)) for each in states)
        return sent if len(sent) > 1 else sent[0]


def _entered(states: torch.Tensor) -> torch.Tensor:
    """The same, with a contiguous gradient, since it is sent as it lies."""
    if states.requires_grad:
        states = states.view_as(states)
        states.register_hook(packed)
    return states


def packed(states: torch.Tensor) -> torch.Tensor:
    """Returns the same values with the strides of a new tensor of this shape.

    ``contiguous`` alone keeps any stride of a dimension of size 1, which torch 2.8 refuses to send.
    """
    return states.contiguous().flatten().view(states.shape)


class _Stage(PipelineStage):
    """Calls `between` before it takes part in the first backward pass.

    The softmax is not on the last stage but divided over all ranks, which need every micro-batch's
    features for it: in ScheduleGPipe this is the moment when all of them are there.
    """

    between: Callable[[], None]

    def get_bwd_recv_ops(self, bwd_chunk_id: int) -> list[dist.P2POp]:
        if bwd_chunk_id == 0 and self.has_backward:
            self.between()
        return super().get_bwd_recv_ops(bwd_chunk_id)


def _nothing() -> None:
    pass
