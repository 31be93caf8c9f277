"""Pipeline-parallel training: layers divided over stages, the softmax's rows over all ranks.

This is the split of Sutskever et al. (2014). Ranks form a grid of stages x columns. Every rank
reads every batch, and each column computes its share of the sentences. The gradients of layers are
summed over columns. Each row of the softmax is on one rank, which computes its whole gradient.
"""

import json
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from s2st.criteria.cross_entropy import Criterion
from s2st.data.batch import Batch
from s2st.data.batch_loader import load_batch
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.data.parallel_corpus import ParallelCorpus
from s2st.errors import UsageError
from s2st.models.base import ModelStage, Seq2SeqModel
from s2st.models.softmax.rank_divided_loss import divided_softmax_loss, word_range
from s2st.options.option_fields import load_json
from s2st.process.ranks import Ranks
from s2st.training.checkpoint import ResumedRun, TrainingState, optimizer_tensors, restore_optimizer
from s2st.training.data_parallel import RankedGradients, norm_over_ranks
from s2st.training.gradient_accumulation import Loss, Share, StopSignal, Tensors, memory_checked
from s2st.training.pipeline_schedule import Pipeline, RankGrid, split_batch
from s2st.training.sparse_embeddings import clip_gradients, coalesce_gradients


class RankPart(nn.Module):
    """The part of a model that one rank holds: a stage, and some rows of the softmax matrix."""

    def __init__(self, stage: ModelStage, rows: torch.Tensor) -> None:
        super().__init__()
        self.stage = stage
        self.softmax_rows = nn.Parameter(rows.detach().clone(), rows.requires_grad)


@dataclass(frozen=True)
class _Layout:
    """Which rank holds each parameter of the whole model.

    Attributes:
        shapes: shape of each whole parameter, by name, in the model's order.
        stages: stage of each parameter, by name; the softmax matrix belongs to no stage.
        frozen: names of the parameters that are not trained; the optimizer has no state of them.
    """

    shapes: dict[str, tuple[int, ...]]
    stages: dict[str, int]
    frozen: frozenset[str]

    def holders(self, name: str, grid: RankGrid) -> list[int]:
        """Return the ranks whose parts make up the parameter, in the order of its rows."""
        if name in self.stages:
            return [grid.rank_of(self.stages[name], 0)]
        return list(range(grid.stages * grid.columns))


def check_division(model: Seq2SeqModel, criterion: Criterion, stages: int, processes: int) -> None:
    """Check that model and criterion can be divided into stages; the model may be without memory.

    Raises:
        UsageError: the criterion, the vocabulary or the architecture cannot be divided so.
    """
    if criterion.smoothing is None:
        raise UsageError("--pipeline-stages: this criterion does not support a divided softmax")
    words = len(model.softmax_weight())
    if words < processes:
        raise UsageError(f"{words} target words cannot be divided over {processes} processes")
    for index in range(stages):
        model.stage(index, stages)


def split_model(model: Seq2SeqModel, grid: RankGrid) -> tuple[RankPart, _Layout, dict[str, str]]:
    """Return this rank's part of a model.

    Returns:
        The part, the layout of all parts, and a mapping from the part's parameter names to the
        model's.
    """
    softmax = model.softmax_weight()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    stages: dict[str, int] = {}
    for index in range(grid.stages):
        stage = model.stage(index, grid.stages)
        stages |= {names[id(parameter)]: index for parameter in stage.parameters()}
        if index == grid.stage:
            local_stage = stage
    count = grid.stages * grid.columns
    first, end = word_range(len(softmax), dist.get_rank(), count)
    part = RankPart(local_stage, softmax[first:end])
    renamed = {f"stage.{n}": names[id(p)] for n, p in local_stage.named_parameters()}
    renamed["softmax_rows"] = names[id(softmax)]
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    frozen = frozenset(n for n, p in model.named_parameters() if not p.requires_grad)
    return part, _Layout(shapes, stages, frozen), renamed


class StagedGradients(RankedGradients):
    """Training on a grid of ranks: stages of layers, columns of sentences, a divided softmax.

    Args:
        loss: the whole model, equal on all ranks, and the criterion.
        device, precision: device and data type of the computation.
        ranks: this process among the ranks of the job.
        grid: the grid of all ranks.
        micro_batches: number of parts into which a column's share of a batch is cut.

    Attributes:
        local_parameters: the parameters of this rank, under their names in the whole model.

    Raises:
        UsageError: model or criterion cannot be divided.
    """

    def __init__(
        self, loss: Loss, device: torch.device, precision: str, ranks: Ranks, grid: RankGrid,
        micro_batches: int,
    ) -> None:  # fmt: skip
        check_division(loss.model, loss.criterion, grid.stages, ranks.size)
        self._smoothing = loss.criterion.smoothing or 0.0
        part, self._layout, renamed = split_model(loss.model, grid)
        super().__init__(loss, device, ranks)
        self.decoding_ranks = Ranks()  # only rank 0 translates
        self.model = part.to(device)
        del self.loss
        for parameter in set(loss.model.parameters()) - set(part.parameters()):
            parameter.data = parameter.data.new_empty(0)  # other ranks hold it: free its memory
        self.local_parameters = {
            renamed[name]: parameter for name, parameter in part.named_parameters()
        }
        self._rows = part.softmax_rows
        self._vocabulary = self._layout.shapes[renamed["softmax_rows"]][0]
        self._grid = grid
        self._bytes_sent = 0  # since the last update
        self._micro_batches = micro_batches
        width = self._rows.shape[1]
        self._pipeline = Pipeline(part.stage, grid, width, micro_batches, device, precision)
        self._dtype = torch.bfloat16 if precision == "bfloat16" else None

    def _synchronize_weights(self) -> None:
        """Do nothing: all ranks drew the same weights from the same seed."""

    def assigned(self, count: int) -> range:
        """Return all batches: each batch is divided over columns by sentences."""
        return range(count)

    def accumulate(self, share: Share, stop_signal: StopSignal) -> torch.Tensor:
        """Run batch after batch through the pipelines, then sum gradients over the columns."""
        sums = []
        for batch, seed in zip(share.batches, share.seeds, strict=True):
            torch.manual_seed(seed + self.ranks.rank)  # else all columns get one dropout mask
            with memory_checked(batch, share):
                sums.append(self._batch(batch, share.divisor))
            if share.count > 1:
                coalesce_gradients(self.model.parameters())
        layers = [p for p in self.model.parameters() if p is not self._rows]
        self._sum_over_columns(layers)
        self._exchange_stop_signals(stop_signal)
        self.bytes_exchanged += self._bytes_sent + self._pipeline.bytes_exchanged
        self._bytes_sent = self._pipeline.bytes_exchanged = 0
        return torch.stack(sums).sum(dim=0)

    def _batch(self, batch: Batch, divisor: float) -> torch.Tensor:
        """Add the gradient of one batch. Return (2,) its sums of loss and nll."""
        columns = split_batch(batch, self._grid.columns, self._micro_batches)
        sums: list[torch.Tensor] = []

        def loss_step(features: torch.Tensor | None) -> torch.Tensor | None:
            loss, gradient = self._softmax(features, columns, divisor)
            sums.append(loss)
            return gradient

        self._pipeline.gradients(columns[self._grid.column], loss_step)
        return sums[0]

    def _softmax(
        self, features: torch.Tensor | None, columns: list[Batch], divisor: float | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute the divided softmax of all columns; every rank takes part.

        Args:
            features: (B, T, H) of this rank's column, on the last stage; None on other stages.
            columns: the batch of each column.
            divisor: gradients are divided by it; None computes no gradient at all.

        Returns:
            (2,) loss and nll over all columns, and the gradient (B, T, H) of `features`.
        """
        positions = columns[self._grid.column].target_positions()
        sizes = [column.target_tokens for column in columns]
        local = None if features is None else features.flatten(0, 1)[positions]
        words = torch.cat([c.target_out.flatten()[c.target_positions()] for c in columns])
        found = divided_softmax_loss(
            self._broadcast_features(local, sizes), self._rows.detach(), words, self._smoothing,
            self._vocabulary, dtype=self._dtype, gradients=divisor is not None,
        )  # fmt: skip
        self._bytes_sent += 3 * len(words) * found.loss.element_size()
        sums = torch.stack([found.loss, found.nll])
        if found.of_features is None or found.of_weight is None or divisor is None:
            return sums, None
        if self._rows.requires_grad:
            of_weight, before = found.of_weight.div_(divisor), self._rows.grad
            self._rows.grad = of_weight if before is None else before.add_(of_weight)
        gradient = None
        for column, piece in enumerate(torch.split(found.of_features.div_(divisor), sizes)):
            dist.reduce(piece, self._grid.rank_of(self._grid.stages - 1, column))
            if features is not None and column == self._grid.column:
                gradient = torch.zeros_like(features)
                gradient.view(-1, gradient.shape[-1])[positions] = piece
            else:
                self._bytes_sent += piece.nbytes
        return sums, gradient

    def _broadcast_features(self, local: torch.Tensor | None, sizes: list[int]) -> torch.Tensor:
        """Return the features (N, H) of all columns' target words on every rank.

        Args:
            local: (n, H) of this rank's column, on the last stage; None on other stages.
            sizes: target words of each column; N is their sum.
        """
        pieces = []
        for column, size in enumerate(sizes):
            if local is not None and column == self._grid.column:
                piece = local
                self._bytes_sent += piece.nbytes
            else:
                piece = self._rows.new_empty((size, self._rows.shape[1]))
            dist.broadcast(piece, self._grid.rank_of(self._grid.stages - 1, column))
            pieces.append(piece)
        return torch.cat(pieces)

    def _sum_over_columns(self, layers: list[nn.Parameter]) -> None:
        """Sum the gradients of this stage's layers over its columns."""
        group = self._grid.mesh.get_group("column")
        if self._grid.columns == 1:
            return
        tables = [p for p in layers if p.grad is not None and p.grad.is_sparse]
        self._sum_sparse_gradients(tables, group)
        works = []
        for parameter in layers:
            if parameter.grad is not None and not parameter.grad.is_sparse:
                works.append(dist.all_reduce(parameter.grad, group=group, async_op=True))
                self._bytes_sent += parameter.grad.nbytes
        for work in works:
            work.wait()

    def _exchange_stop_signals(self, stop_signal: StopSignal) -> None:
        """Share the stop signal of any rank with all ranks."""
        self._stop_signals = torch.tensor([stop_signal()], dtype=torch.float64, device=self.device)
        dist.all_reduce(self._stop_signals, dist.ReduceOp.MAX)

    def clip(self, limit: float) -> torch.Tensor:
        """Clip by the norm over the parts of all ranks, each layer counted once."""

        def over_ranks(norm: torch.Tensor) -> torch.Tensor:
            if self._grid.column:  # every column has the same layers: only column 0 counts them
                rows = self._rows.grad
                norm = norm * 0 if rows is None else torch.linalg.vector_norm(rows)
            return norm_over_ranks(norm)

        return clip_gradients(self.model.parameters(), limit, over_ranks)

    @torch.no_grad()
    def validate(
        self, corpus: ParallelCorpus, batching: BatchingConfig, stop_signal: StopSignal
    ) -> float:
        """Return -log p per target token, in nats. Every rank takes part in every batch."""
        self.model.eval()
        total, tokens = 0.0, 0
        for rows in plan_in_order(corpus.target.lengths(), batching):
            batch = load_batch(corpus, rows).to(self.device)
            columns = split_batch(batch, self._grid.columns, self._micro_batches)
            features = self._pipeline.features(columns[self._grid.column])
            sums, _ = self._softmax(features, columns, None)
            total += float(sums[1])
            tokens += batch.target_tokens
        self._exchange_stop_signals(stop_signal)
        return total / max(1, tokens)

    def state(self, optimizer: torch.optim.Optimizer) -> tuple[Tensors, Tensors]:
        """Collect weights and optimizer state on rank 0, one tensor at a time."""
        weights = self._collected_weights()
        tensors = optimizer_tensors(optimizer)
        # all trained parameters have the same kinds of state
        kinds = self._over_ranks({k.partition(".")[2]: t.dim() for k, t in tensors.items()})
        places = {name: place for place, name in enumerate(self.local_parameters)}
        whole: Tensors = {}
        for index, name in enumerate(self._layout.shapes):
            for kind in sorted(kinds) if name not in self._layout.frozen else ():
                local = tensors.get(f"{places.get(name)}.{kind}")
                self._collect(whole, f"{index}.{kind}", name, local, scalar=not kinds[kind])
        return weights, whole

    def _collected_weights(self) -> Tensors:
        """Return all weights by name on rank 0, none on other ranks."""
        weights: Tensors = {}
        for name in self._layout.shapes:
            self._collect(weights, name, name, self.local_parameters.get(name))
        return weights

    def whole_weights(self) -> Tensors | None:
        """Collect the weights on rank 0, which alone translates."""
        weights = self._collected_weights()
        return weights if self.first else None

    def _over_ranks(self, kinds: dict[str, int]) -> dict[str, int]:
        """Return the entries of all ranks: a rank whose part is frozen has none."""
        if self._rows.requires_grad:  # every rank has rows of the softmax
            return kinds
        for rank in range(self.ranks.size):
            kinds |= load_json(self._broadcast_text(json.dumps(kinds), rank))
        return kinds

    def _collect(
        self, into: Tensors, key: str, name: str, local: torch.Tensor | None, scalar: bool = False
    ) -> None:
        """Join the parts of a tensor on rank 0.

        Args:
            into: receives the whole tensor under `key`, on rank 0.
            key: name of the tensor.
            name: the parameter that the tensor is, or whose optimizer state it is.
            local: this rank's part, None where it has none.
            scalar: whether the tensor is a scalar, equal on all ranks.
        """
        holders = self._layout.holders(name, self._grid)
        shape = () if scalar else self._layout.shapes[name]
        pieces = []
        for place, holder in enumerate(holders[:1] if scalar else holders):
            if holder == self.ranks.rank:
                assert local is not None
                pieces.append(local.detach().to(self.device).contiguous())
                if holder:
                    dist.send(pieces[-1], 0)
            elif self.first:
                size = shape
                if len(holders) > 1 and not scalar:
                    first, end = word_range(shape[0], place, len(holders))
                    size = (end - first, *shape[1:])
                dtype = torch.float32 if scalar else self._rows.dtype
                pieces.append(torch.empty(size, dtype=dtype, device=self.device))
                dist.recv(pieces[-1], holder)
        if self.first:
            into[key] = (pieces[0] if len(pieces) == 1 else torch.cat(pieces)).cpu()

    @torch.no_grad()
    def restore(
        self, run: ResumedRun | None, optimizer: torch.optim.Optimizer
    ) -> TrainingState | None:
        """Load the checkpoint on rank 0 and broadcast it; every rank keeps its own part."""
        checkpoint = self._broadcast_run(run)
        if checkpoint is None:
            return None
        content, weights, tensors = checkpoint
        kind = str(self._rows.dtype).removeprefix("torch.")
        for name, shape in self._layout.shapes.items():
            whole = self._broadcast_tensor(weights.get(name), shape, kind)
            if name in self.local_parameters:
                self.local_parameters[name].copy_(self._local_part(name, whole))
        received = {}
        names, places = list(self._layout.shapes), list(self.local_parameters)
        for key, (size, kind) in content["optimizer"].items():
            whole = self._broadcast_tensor(tensors.get(key), size, kind)
            index, _, value = key.partition(".")
            name = names[int(index)]
            if name in self.local_parameters:
                received[f"{places.index(name)}.{value}"] = self._local_part(name, whole)
        restore_optimizer(optimizer, received)
        return TrainingState(**content["state"])

    def _local_part(self, name: str, whole: torch.Tensor) -> torch.Tensor:
        """Return this rank's part of a parameter or of its optimizer state."""
        if name in self._layout.stages or not whole.dim():
            return whole.clone()
        first, end = word_range(self._vocabulary, self.ranks.rank, self.ranks.size)
        return whole[first:end].clone()
