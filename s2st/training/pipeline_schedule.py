"""The pipeline of one grid column: torch's GPipe schedule over stages and micro-batches.

Ranks form a grid of stages x columns. A column is a complete pipeline, which computes its own share
of each batch.
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

# features (B, T, H) of the last stage -> gradient of the loss; None -> None on other stages
LossStep = Callable[[torch.Tensor | None], torch.Tensor | None]


@dataclass(frozen=True)
class RankGrid:
    """The grid of ranks, one row for each stage, and this rank's place in it.

    Rank r has stage r // columns and column r % columns.

    Attributes:
        stages, columns: size of the grid.
        stage, column: place of this rank.
        mesh: process groups of this rank: dimension "stage" joins the stages of its column,
            dimension "column" joins the columns of its stage.
    """

    stages: int
    columns: int
    stage: int
    column: int
    mesh: DeviceMesh

    @property
    def last(self) -> bool:
        """Whether this rank runs the last stage."""
        return self.stage == self.stages - 1

    def rank_of(self, stage: int, column: int) -> int:
        """Return the rank with this stage and column."""
        return stage * self.columns + column


def make_rank_grid(stages: int, columns: int, device: torch.device, seconds: float) -> RankGrid:
    """Create the process groups of each row and column of the grid.

    Args:
        stages, columns: size of the grid.
        device: device of the tensors that the groups exchange.
        seconds: timeout of each group.
    """
    numbers = torch.arange(stages * columns).view(stages, columns)
    stage, column = divmod(dist.get_rank(), columns)
    timeout = timedelta(seconds=seconds)
    # Every rank must create every group. Any: torch's types of `new_group` and `from_group` differ.
    with stdout_to_stderr():
        lines: list[Any] = [dist.new_group(line, timeout) for line in numbers.t().tolist()]
        rows: list[Any] = [dist.new_group(row, timeout) for row in numbers.tolist()]
    mesh = DeviceMesh.from_group(
        [lines[column], rows[stage]], device.type, numbers, mesh_dim_names=("stage", "column")
    )
    return RankGrid(stages, columns, stage, column, mesh)


def split_batch(batch: Batch, columns: int, micro_batches: int) -> list[Batch]:
    """Divide a batch over the columns, each into micro-batches of one size, in order.

    Sentences of similar length share a micro-batch. Where the batch does not divide evenly, padding
    sentences are added: a source of EOS alone, and an empty target, which does not count.
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
    batches = []
    for column in range(columns):
        chosen = rows[:, column].flatten()
        there = moved(chosen, source.device)
        batches.append(
            Batch(
                SourceBatch(source[there], source_lengths[chosen], tuple(chosen.tolist())),
                target_in[there],
                target_out[there],
                target_lengths[chosen],
            )
        )
    return batches


class Pipeline:
    """One rank's stage of its column's pipeline.

    Args:
        stage: the layers of the stage, on `device`.
        grid: the grid of all ranks.
        width: width of the states between stages, and of the features.
        micro_batches: number of micro-batches in a column's share of a batch.
        device, precision: device and data type of the computation.

    Attributes:
        bytes_exchanged: bytes that this rank has sent to neighboring stages.
    """

    def __init__(
        self,
        stage: ModelStage,
        grid: RankGrid,
        width: int,
        micro_batches: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self._stage = _StageModule(stage, device, precision)
        self._grid = grid
        self._width = width
        self._micro_batches = micro_batches
        self._device = device
        self.bytes_exchanged = 0

    def features(self, share: Batch) -> torch.Tensor | None:
        """Return features (B, T, H) of the column's share, without gradients, on the last stage."""
        return self._step(self._connect(share, _no_loss_step), None, share)

    def gradients(self, share: Batch, loss_step: LossStep) -> None:
        """Add to the gradients of this stage's weights.

        Args:
            share: the column's share of a batch.
            loss_step: called on all ranks at once, after all forward passes and before the first
                backward pass, with the features (B, T, H) on the last stage.
        """
        features: list[torch.Tensor] = []
        feature_gradients: list[torch.Tensor] = []

        def after_forward() -> None:
            gradient = loss_step(torch.cat(features) if features else None)
            if gradient is not None:
                feature_gradients.extend(gradient.chunk(self._micro_batches))

        def surrogate(output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            """Return a loss for the schedule; a hook replaces its gradient by the loss step's."""
            index = len(features)
            features.append(output.detach())
            output.register_hook(lambda _: feature_gradients[index])
            return output.sum()

        self._step(self._connect(share, after_forward), surrogate, share)

    def _step(
        self, stage: "_Stage", loss: Callable[..., torch.Tensor] | None, share: Batch
    ) -> torch.Tensor | None:
        # scale_grads would divide gradients by the number of micro-batches, even without a loss
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

    def _connect(self, share: Batch, after_forward: Callable[[], None]) -> "_Stage":
        """Return a new stage for this share's shapes: torch fixes them at the first run."""
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
        stage.after_forward = after_forward
        return stage


class _StageModule(nn.Module):
    """A stage for torch's schedule, which sends contiguous tensors of one data type."""

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
            states = self.stage(
                _with_packed_gradient(source),
                _with_packed_gradient(target),
                source_lengths,
                target_lengths,
            )
        sent = tuple(_with_gradient(packed(each.to(self.dtype))) for each in states)
        return sent if len(sent) > 1 else sent[0]


def _with_gradient(states: torch.Tensor) -> torch.Tensor:
    """Return states that have a gradient in training, even if all weights below are frozen.

    torch's schedule needs one for every tensor that a stage sends.
    """
    if torch.is_grad_enabled() and not states.requires_grad:
        return states.detach().requires_grad_()
    return states


def _with_packed_gradient(states: torch.Tensor) -> torch.Tensor:
    """Return the states with a hook that makes their gradient contiguous before it is sent."""
    if states.requires_grad:
        states = states.view_as(states)
        states.register_hook(packed)
    return states


def packed(states: torch.Tensor) -> torch.Tensor:
    """Return the same values with the strides of a new tensor of this shape.

    `contiguous` alone keeps any stride of a dimension of size 1, which torch 2.8 refuses to send.
    """
    return states.contiguous().flatten().view(states.shape)


class _Stage(PipelineStage):
    """A stage that calls `after_forward` before the first backward pass.

    The softmax is divided over all ranks and needs the features of every micro-batch. In
    ScheduleGPipe this is the first moment at which all of them exist.
    """

    after_forward: Callable[[], None]

    def get_bwd_recv_ops(self, bwd_chunk_id: int) -> list[dist.P2POp]:
        if bwd_chunk_id == 0 and self.has_backward:
            self.after_forward()
        return super().get_bwd_recv_ops(bwd_chunk_id)


def _no_loss_step() -> None:
    pass
