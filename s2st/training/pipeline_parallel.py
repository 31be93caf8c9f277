"""Training by the paper's split: layers on stages, the softmax's rows divided over all ranks.

Every rank reads every batch; a column of the grid computes its share of it. Gradients of layers are
summed over the columns; each row of the softmax is on one rank, which makes its whole gradient.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from s2st.criteria.cross_entropy import Criterion
from s2st.data.batch import Batch
from s2st.data.batch_loader import load_batch
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.data.store import ParallelCorpus
from s2st.errors import UsageError
from s2st.models.base import ModelStage, Seq2SeqModel
from s2st.models.softmax.rank_divided_loss import divided_softmax_loss, word_range
from s2st.process.ranks import Ranks
from s2st.training.checkpoint import (
    ResumedRun,
    TrainingState,
    optimizer_tensors,
    restore_optimizer,
)
from s2st.training.data_parallel import RankedGradients, norm_of_all
from s2st.training.gradient_accumulation import Asked, Loss, Share, Tensors, memory_checked
from s2st.training.pipeline_schedule import Grid, Pipeline, shares
from s2st.training.sparse_embeddings import clip_gradients, coalesce_gradients


class OwnPart(nn.Module):
    """What a rank has of a model: its stage, and its rows of the softmax matrix."""

    def __init__(self, stage: ModelStage, rows: torch.Tensor) -> None:
        super().__init__()
        self.stage = stage
        self.softmax_rows = nn.Parameter(rows.detach().clone())


@dataclass(frozen=True)
class _Layout:
    """Where each parameter of the whole model is.

    Attributes:
        shapes: of the whole parameters, by name in the model's order.
        stages: the stage that has it, by name; the softmax matrix has none.
        frozen: those that are not trained: the optimiser knows nothing of them.
    """

    shapes: dict[str, tuple[int, ...]]
    stages: dict[str, int]
    frozen: frozenset[str]

    def holders(self, name: str, grid: Grid) -> list[int]:
        """The ranks whose parts make up the whole, in the order of its rows."""
        if name in self.stages:
            return [grid.rank_of(self.stages[name], 0)]
        return list(range(grid.stages * grid.columns))


def check_division(model: Seq2SeqModel, criterion: Criterion, stages: int, processes: int) -> None:
    """Raises UsageError where model or criterion cannot be divided; the model may be hollow."""
    if criterion.smoothing is None:
        raise UsageError("--pipeline-stages: this criterion's softmax cannot be divided")
    words = len(model.softmax_weight())
    if words < processes:
        raise UsageError(f"{words} target words cannot be divided over {processes} processes")
    for index in range(stages):
        model.stage(index, stages)


def divided(model: Seq2SeqModel, grid: Grid) -> tuple[OwnPart, _Layout, dict[str, str]]:
    """This rank's part of a model, where all parts are, and names: of the part -> of the model."""
    softmax = model.softmax_weight()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    stages: dict[str, int] = {}
    for index in range(grid.stages):
        stage = model.stage(index, grid.stages)
        stages |= {names[id(parameter)]: index for parameter in stage.parameters()}
        if index == grid.stage:
            own = stage
    ranks = grid.stages * grid.columns
    first, end = word_range(len(softmax), dist.get_rank(), ranks)
    part = OwnPart(own, softmax[first:end])
    renamed = {f"stage.{n}": names[id(parameter)] for n, parameter in own.named_parameters()}
    renamed["softmax_rows"] = names[id(softmax)]
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    frozen = frozenset(n for n, p in model.named_parameters() if not p.requires_grad)
    return part, _Layout(shapes, stages, frozen), renamed


class StagedGradients(RankedGradients):
    """One rank's part of the paper's split.

    Args:
        loss: the whole model, which is the same on all ranks, and the criterion.
        device, precision: where and in which numbers to compute.
        own: this rank.
        grid: all ranks.
        micro_batches: that each column's share of a batch is divided into.

    Raises:
        UsageError: model or criterion cannot be divided.
    """

    def __init__(
        self, loss: Loss, device: torch.device, precision: str, own: Ranks, grid: Grid,
        micro_batches: int,
    ) -> None:  # fmt: skip
        check_division(loss.model, loss.criterion, grid.stages, own.size)
        self._smoothing = loss.criterion.smoothing or 0.0
        part, self._layout, renamed = divided(loss.model, grid)
        super().__init__(loss, device, own)
        self.model = part.to(device)
        del self.loss
        for parameter in set(loss.model.parameters()) - set(part.parameters()):
            parameter.data = parameter.data.new_empty(0)  # other ranks have it: memory given back
        self.own_parameters = {
            renamed[name]: parameter for name, parameter in part.named_parameters()
        }
        self._rows = part.softmax_rows
        self._vocabulary = self._layout.shapes[renamed["softmax_rows"]][0]
        self._grid = grid
        self._given = 0  # bytes, since the last update
        self._micro_batches = micro_batches
        width = self._rows.shape[1]
        self._pipeline = Pipeline(part.stage, grid, width, micro_batches, device, precision)
        self._dtype = torch.bfloat16 if precision == "bfloat16" else None

    def _begin(self) -> None:
        """Nothing: all ranks drew the same weights, and kept what is theirs."""

    def deal(self, count: int) -> range:
        """All: a batch is dealt sentence by sentence."""
        return range(count)

    def accumulate(self, share: Share, asked: Asked) -> torch.Tensor:
        """Batch after batch through the pipelines; gradients are exchanged at the end."""
        sums = []
        for batch, seed in zip(share.batches, share.seeds, strict=True):
            torch.manual_seed(seed + self.own.rank)  # else columns would drop out alike
            with memory_checked(batch, share):
                sums.append(self._batch(batch, share.divisor))
            if share.count > 1:
                coalesce_gradients(self.model.parameters())
        layers = [p for p in self.model.parameters() if p is not self._rows]
        self._sum_over_columns(layers)
        self._ask(asked)
        self.bytes_exchanged += self._given + self._pipeline.bytes_exchanged
        self._given = self._pipeline.bytes_exchanged = 0
        return torch.stack(sums).sum(dim=0)

    def _batch(self, batch: Batch, divisor: float) -> torch.Tensor:
        columns = shares(batch, self._grid.columns, self._micro_batches)
        sums: list[torch.Tensor] = []

        def between(features: torch.Tensor | None) -> torch.Tensor | None:
            loss, gradient = self._softmax(features, columns, divisor)
            sums.append(loss)
            return gradient

        self._pipeline.gradients(columns[self._grid.column], between)
        return sums[0]

    def _softmax(
        self, features: torch.Tensor | None, columns: list[Batch], divisor: float | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(2,) loss and nll of all columns; the gradient of `features`, divided by the divisor.

        Without a divisor there is no gradient, neither of the features nor of the own rows.
        """
        places = columns[self._grid.column].target_positions()
        sizes = [column.target_tokens for column in columns]
        chosen = None if features is None else features.flatten(0, 1)[places]
        pieces = []
        for column, size in enumerate(sizes):
            if chosen is not None and column == self._grid.column:
                piece = chosen
                self._given += piece.nbytes
            else:
                piece = self._rows.new_empty((size, self._rows.shape[1]))
            dist.broadcast(piece, self._grid.rank_of(self._grid.stages - 1, column))
            pieces.append(piece)
        words = torch.cat([c.target_out.flatten()[c.target_positions()] for c in columns])
        found = divided_softmax_loss(
            torch.cat(pieces), self._rows.detach(), words, self._smoothing, self._vocabulary,
            dtype=self._dtype, gradients=divisor is not None,
        )  # fmt: skip
        self._given += 3 * len(words) * found.loss.element_size()
        sums = torch.stack([found.loss, found.nll])
        if found.of_features is None or found.of_weight is None or divisor is None:
            return sums, None
        of_weight = found.of_weight.div_(divisor)
        self._rows.grad = of_weight if self._rows.grad is None else self._rows.grad.add_(of_weight)
        gradient = None
        for column, piece in enumerate(torch.split(found.of_features.div_(divisor), sizes)):
            dist.reduce(piece, self._grid.rank_of(self._grid.stages - 1, column))
            if features is not None and column == self._grid.column:
                gradient = torch.zeros_like(features)
                gradient.view(-1, gradient.shape[-1])[places] = piece
            else:
                self._given += piece.nbytes
        return sums, gradient

    def _sum_over_columns(self, layers: list[nn.Parameter]) -> None:
        """Gradients of this stage's layers; of sparse tables the rows that were read."""
        group = self._grid.mesh.get_group("column")
        if self._grid.columns == 1:
            return
        tables = [p for p in layers if p.grad is not None and p.grad.is_sparse]
        self._sum_tables(tables, group)
        works = []
        for parameter in layers:
            if parameter.grad is not None and not parameter.grad.is_sparse:
                works.append(dist.all_reduce(parameter.grad, group=group, async_op=True))
                self._given += parameter.grad.nbytes
        for work in works:
            work.wait()

    def _ask(self, asked: Asked) -> None:
        """What any rank was asked, on all."""
        self._asked = torch.tensor([asked()], dtype=torch.float64, device=self.device)
        dist.all_reduce(self._asked, dist.ReduceOp.MAX)

    def clip(self, limit: float) -> torch.Tensor:
        """By the norm over all ranks' parts, each layer counted once."""

        def over_ranks(norm: torch.Tensor) -> torch.Tensor:
            if self._grid.column and self._rows.grad is not None:
                norm = torch.linalg.vector_norm(self._rows.grad)  # column 0 counts the layers
            return norm_of_all(norm)

        return clip_gradients(self.model.parameters(), limit, over_ranks)

    @torch.no_grad()
    def validate(self, corpus: ParallelCorpus, batching: BatchingConfig, asked: Asked) -> float:
        """Every rank takes part in every batch."""
        self.model.eval()
        total, tokens = 0.0, 0
        for rows in plan_in_order(corpus.target.lengths(), batching):
            batch = load_batch(corpus, rows).to(self.device)
            columns = shares(batch, self._grid.columns, self._micro_batches)
            features = self._pipeline.features(columns[self._grid.column])
            sums, _ = self._softmax(features, columns, None)
            total += float(sums[1])
            tokens += batch.target_tokens
        self._ask(asked)
        return total / max(1, tokens)

    def state(self, optimizer: torch.optim.Optimizer) -> tuple[Tensors, Tensors]:
        """Sent to the first rank a tensor at a time; the others get none."""
        weights: Tensors = {}
        for name in self._layout.shapes:
            self._collect(weights, name, name, self.own_parameters.get(name))
        tensors = optimizer_tensors(optimizer)
        # the same for all parameters, and every rank has some: its rows of the softmax
        kinds = {key.partition(".")[2]: tensor.dim() for key, tensor in tensors.items()}
        places = {name: place for place, name in enumerate(self.own_parameters)}
        whole: Tensors = {}
        for index, name in enumerate(self._layout.shapes):
            for kind in sorted(kinds) if name not in self._layout.frozen else ():
                mine = tensors.get(f"{places.get(name)}.{kind}")
                self._collect(whole, f"{index}.{kind}", name, mine, scalar=not kinds[kind])
        return weights, whole

    def _collect(
        self, into: Tensors, key: str, name: str, mine: torch.Tensor | None, scalar: bool = False
    ) -> None:
        """Puts together what the holders of a parameter have, on the first rank."""
        holders = self._layout.holders(name, self._grid)
        shape = () if scalar else self._layout.shapes[name]
        pieces = []
        for place, holder in enumerate(holders[:1] if scalar else holders):
            if holder == self.own.rank:
                assert mine is not None
                pieces.append(mine.detach().to(self.device).contiguous())
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
        """Reads on the first rank; the others keep what is theirs of what it tells."""
        told = self._told(run)
        if told is None:
            return None
        content, weights, tensors = told
        kind = str(self._rows.dtype).removeprefix("torch.")
        for name, shape in self._layout.shapes.items():
            whole = self._send(weights.get(name), shape, kind)
            if name in self.own_parameters:
                self.own_parameters[name].copy_(self._mine(name, whole))
        received = {}
        names, places = list(self._layout.shapes), list(self.own_parameters)
        for key, (size, kind) in content["optimizer"].items():
            whole = self._send(tensors.get(key), size, kind)
            index, _, value = key.partition(".")
            name = names[int(index)]
            if name in self.own_parameters:
                received[f"{places.index(name)}.{value}"] = self._mine(name, whole)
        restore_optimizer(optimizer, received)
        return TrainingState(**content["state"])

    def _mine(self, name: str, whole: torch.Tensor) -> torch.Tensor:
        """What of a parameter, or of the optimiser's state of it, is this rank's."""
        if name in self._layout.stages or not whole.dim():
            return whole.clone()
        first, end = word_range(self._vocabulary, self.own.rank, self.own.size)
        return whole[first:end].clone()
