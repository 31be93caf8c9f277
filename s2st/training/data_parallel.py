"""Data-parallel training with DDP or FSDP: each rank computes a share of an update's batches.

The batches of an update do not depend on the number of ranks. Gradients are summed, not averaged,
so two ranks with one batch each give the gradient that one process gives with two batches.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from s2st.models.multi_decoder import MultiDecoderModel
from s2st.options.option_fields import load_json
from s2st.process.ranks import Ranks, wait_for_all
from s2st.training.checkpoint import ResumedRun, TrainingState, optimizer_tensors, restore_optimizer
from s2st.training.gradient_accumulation import Gradients, Loss, Share, StopSignal, Tensors
from s2st.training.sparse_embeddings import clip_gradients, sparse_parameters

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

Rows = list[tuple[float, float]]  # (nll, target tokens) of each batch


class RankedGradients(Gradients):
    """Base of all parallel training: collective operations, and one decision for all ranks.

    Args:
        loss: model and criterion; all ranks receive the weights of rank 0.
        device: where to compute.
        ranks: this process among the ranks of the job.
    """

    def __init__(self, loss: Loss, device: torch.device, ranks: Ranks) -> None:
        super().__init__(loss, device)
        self.ranks = ranks
        self.first = ranks.first
        self.decoding_ranks = ranks
        self._stop_signals = torch.zeros(ranks.size, dtype=torch.float64)
        self._synchronize_weights()

    @torch.no_grad()
    def _synchronize_weights(self) -> None:
        """Copy the weights of rank 0 to all ranks."""
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, 0)

    def assigned(self, count: int) -> range:
        """Return every size-th batch: neighbors have similar lengths and go to different ranks."""
        return range(self.ranks.rank, count, self.ranks.size)

    def agreed_signal(self, stop_signal: StopSignal) -> int:
        """Return the signal that any rank had received at the last exchange of sums, else 0."""
        return int(self._stop_signals.max())

    def gather_rows(self, rows: torch.Tensor, count: int, stop_signal: StopSignal) -> torch.Tensor:
        """Gather the rows of all batches, in the order of the batches, and the stop signals.

        Args:
            rows: (n, 2) of this rank's n batches.
            count: batches of all ranks.
            stop_signal: its value travels in an extra row.

        Returns:
            (count, 2).
        """
        width = -(-count // self.ranks.size)
        sent = torch.zeros((width + 1, 2), dtype=torch.float64, device=self.device)
        sent[: len(rows)] = rows
        sent[width, 0] = stop_signal()
        (gathered,) = self._all_gather([sent], None)
        self._stop_signals = gathered[:, width, 0]
        return gathered[:, :width].transpose(0, 1).flatten(0, 1)[:count].to(rows.dtype)

    def _gather_sums(self, rows: Rows, count: int, stop_signal: StopSignal) -> Rows:
        table = torch.tensor(rows, dtype=torch.float64, device=self.device).view(-1, 2)
        gathered = self.gather_rows(table, count, stop_signal)
        return [(nll, tokens) for nll, tokens in gathered.tolist()]

    def not_finite(self, optimizer: torch.optim.Optimizer) -> str:
        """Return what this or another rank holds that is not finite; see `Gradients`."""
        local = super().not_finite(optimizer)
        found = torch.tensor(float(bool(local)), device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return local or ("a tensor of another rank" if float(found) else "")

    def wait_for_all(self) -> None:
        """Wait until every rank has called this method."""
        wait_for_all(self.device)

    def restore(
        self, run: ResumedRun | None, optimizer: torch.optim.Optimizer
    ) -> TrainingState | None:
        """Load the checkpoint on rank 0 and broadcast it: only rank 0 needs to see the files."""
        checkpoint = self._broadcast_run(run)
        if checkpoint is None:
            return None
        content, weights, tensors = checkpoint
        with torch.no_grad():
            for name, target in self.model.state_dict().items():
                shape = list(target.shape), str(target.dtype).removeprefix("torch.")
                target.copy_(self._shard(self._broadcast_tensor(weights.get(name), *shape), target))
        parameters = list(self.model.parameters())
        received = {}
        for key, (size, kind) in content["optimizer"].items():
            whole = self._broadcast_tensor(tensors.get(key), size, kind)
            received[key] = self._shard(whole, parameters[int(key.partition(".")[0])])
        restore_optimizer(optimizer, received)
        return TrainingState(**content["state"])

    def _broadcast_run(
        self, run: ResumedRun | None
    ) -> tuple[dict[str, Any], Tensors, Tensors] | None:
        """Broadcast the record of the checkpoint that rank 0 resumes; None if there is none.

        Returns:
            On all ranks the training state (key "state") and the shapes of the optimizer's
            tensors (key "optimizer"); then weights and optimizer tensors, empty except on rank 0.
        """
        weights: Tensors = {}
        tensors: Tensors = {}
        text = ""
        if run is not None:
            weights, tensors = run.tensors()
            text = json.dumps({"state": asdict(run.state), "optimizer": shapes(tensors)})
        text = self._broadcast_text(text)
        return (load_json(text), weights, tensors) if text else None

    def _shard(self, whole: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the part of a whole tensor that this rank keeps, as `target` is divided."""
        return whole

    def _broadcast_text(self, text: str, rank: int = 0) -> str:
        """Return the text of a rank on every rank."""
        encoded = text.encode()
        length = torch.tensor([len(encoded)], device=self.device)
        dist.broadcast(length, rank)
        content = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.ranks.rank == rank:
            content.copy_(torch.frombuffer(bytearray(encoded or b" "), dtype=torch.uint8)[:length])
        dist.broadcast(content, rank)
        return bytes(content.tolist()).decode()

    def exchange_texts(self, text: str) -> list[str]:
        """Gather the texts of all ranks, padded to the longest one."""
        data = torch.frombuffer(bytearray(text.encode() or b" "), dtype=torch.uint8)
        size = torch.tensor([len(text.encode())], device=self.device)
        sizes = self._all_gather([size], None)[0].flatten().tolist()
        sent = torch.zeros(max(1, *sizes), dtype=torch.uint8, device=self.device)
        sent[: int(size)] = data[: int(size)].to(self.device)
        (gathered,) = self._all_gather([sent], None)
        return [
            row[:length].numpy().tobytes().decode()
            for row, length in zip(gathered.cpu(), sizes, strict=True)
        ]

    def _broadcast_tensor(
        self, tensor: torch.Tensor | None, shape: Sequence[int], kind: str
    ) -> torch.Tensor:
        """Return the tensor of rank 0 on every rank; `tensor` is None on the others."""
        received = torch.empty(tuple(shape), dtype=getattr(torch, kind), device=self.device)
        if tensor is not None:
            received.copy_(tensor)
        dist.broadcast(received, 0)
        return received

    def _sum_sparse_gradients(
        self, tables: Sequence[torch.Tensor], group: dist.ProcessGroup | None = None
    ) -> None:
        """Sum the sparse gradients of a group; each rank sends the rows that its batches read."""
        if not tables:
            return
        for table in tables:
            if table.grad is None:
                no_rows = table.new_empty((0,), dtype=torch.int64)
                table.grad = _sparse(no_rows, table[:0].detach(), table.shape)
            table.grad = table.grad.coalesce()
        row_counts = [table.grad._nnz() for table in tables if table.grad is not None]
        sent = torch.tensor(row_counts, device=self.device)
        counts = self._all_gather([sent], group)[0].tolist()
        most = torch.tensor(counts).amax(dim=0).tolist()
        for index, table in enumerate(tables):
            assert table.grad is not None
            rows, values = table.grad.indices()[0], table.grad.values()
            padding = (0, most[index] - len(rows))
            padded = nn.functional.pad(rows, padding), nn.functional.pad(values, (0, 0, *padding))
            gathered = self._all_gather(padded, group)
            sizes = [count[index] for count in counts]
            rows, values = (
                torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
                for parts in gathered
            )
            table.grad = _sparse(rows, values, table.shape).coalesce()

    def _all_gather(
        self, tensors: Sequence[torch.Tensor], group: dist.ProcessGroup | None
    ) -> list[torch.Tensor]:
        """Gather each tensor from every rank of a group; ranks are a new first dimension."""
        results, size = [], dist.get_world_size(group)
        for tensor in tensors:
            gathered = tensor.new_empty((size, *tensor.shape))
            self.bytes_exchanged += tensor.nbytes
            dist.all_gather(list(gathered), tensor.contiguous(), group)
            results.append(gathered)
        return results


def _sparse(rows: torch.Tensor, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return a table's gradient that is zero except in some rows; repeated rows add up."""
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values, shape, check_invariants=False)


class DataParallel(RankedGradients):
    """DDP: every rank has the whole model. Only the rows read of a sparse table are sent.

    Args:
        loss, device, ranks: see `RankedGradients`.
        compression: "bfloat16" or "float16" to sum gradients in that data type, else "none".
    """

    def __init__(self, loss: Loss, device: torch.device, ranks: Ranks, compression: str) -> None:
        super().__init__(loss, device, ranks)
        self._tables = sparse_parameters(self.model)
        names = [f"model.{name}" for name in self._tables]
        # DDP cannot sum sparse gradients without sending whole tables
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, names)
        several = isinstance(loss.model, MultiDecoderModel)  # a batch uses one of its decoders
        self._wrapped = DistributedDataParallel(
            loss, gradient_as_bucket_view=True, init_sync=False, find_unused_parameters=several
        )
        self._format = None if compression == "none" else getattr(torch, compression)
        # a lambda, because DDP checks the annotations of a hook that has any
        self._wrapped.register_comm_hook(None, lambda _, bucket: self._sum(bucket))
        self._idle = False

    def accumulate(self, share: Share, stop_signal: StopSignal) -> torch.Tensor:
        """Compute the update's gradient; ranks exchange it during the last backward pass only."""
        self._idle = not share.places
        last = len(share.batches) - 1
        sums = []
        for index, (batch, seed) in enumerate(zip(share.batches, share.seeds, strict=True)):
            with contextlib.nullcontext() if index == last else self._wrapped.no_sync():
                sums.append(self._backward(self._wrapped, batch, seed, share))
        if self._idle:
            for table in self._tables.values():
                table.grad = None
        self._sum_sparse_gradients(list(self._tables.values()))
        rows = torch.stack(sums)[: len(share.places)]
        return self.gather_rows(rows, share.count, stop_signal).sum(dim=0)

    def _sum(self, bucket: Any) -> "torch.futures.Future[torch.Tensor]":
        """Sum a bucket of gradients over ranks. DDP calls this hook."""
        buffer = bucket.buffer()
        if self._idle:  # x + -0.0 equals x for every x, including its sign
            buffer.fill_(-0.0)
        sent = buffer if self._format is None else buffer.to(self._format)
        self.bytes_exchanged += sent.nbytes
        future = dist.all_reduce(sent, async_op=True).get_future()

        def received(done: "torch.futures.Future[list[torch.Tensor]]") -> torch.Tensor:
            (summed,) = done.value()
            return summed if self._format is None else buffer.copy_(summed)

        total: torch.futures.Future[torch.Tensor] = future.then(received)
        return total


def shapes(tensors: Tensors) -> dict[str, tuple[list[int], str]]:
    """Return the size and data type of each tensor, by name."""
    return {
        name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


class ShardedDataParallel(RankedGradients):
    """FSDP2: each rank keeps a shard of every weight, its gradient and its optimizer state.

    Weights are whole on every rank only during an update's forward and backward passes. Gradients
    of embedding tables must be dense.
    """

    def __init__(self, loss: Loss, device: torch.device, ranks: Ranks) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        super().__init__(loss, device, ranks)
        fully_shard(loss, mesh=init_device_mesh(device.type, (ranks.size,)))
        assert isinstance(loss, FSDPModule)
        loss.set_gradient_divide_factor(1.0)  # sum, as in DataParallel
        loss.set_force_sum_reduction_for_comms(True)  # gloo has no average
        self._sharded = loss

    def accumulate(self, share: Share, stop_signal: StopSignal) -> torch.Tensor:
        """Compute the update's gradient: gather weights once, scatter gradients at the end."""
        last = len(share.batches) - 1
        if not share.places:
            share = replace(share, divisor=math.inf)
        sums = []
        for index, (batch, seed) in enumerate(zip(share.batches, share.seeds, strict=True)):
            self._sharded.set_requires_gradient_sync(index == last)
            self._sharded.set_reshard_after_backward(index == last)
            sums.append(self._backward(self.loss, batch, seed, share))
        for parameter in self.model.parameters():  # weights out, gradients in
            self.bytes_exchanged += 2 * parameter.numel() * parameter.element_size()
        rows = torch.stack(sums)[: len(share.places)]
        return self.gather_rows(rows, share.count, stop_signal).sum(dim=0)

    def clip(self, limit: float) -> torch.Tensor:
        """Clip by the norm over the shards of all ranks."""
        return clip_gradients(self.model.parameters(), limit, norm_over_ranks)

    @contextlib.contextmanager
    def full_parameters(self) -> Iterator[None]:
        """Gather all weights on every rank for the duration of the context."""
        self._sharded.unshard()
        try:
            yield
        finally:
            self._sharded.reshard()

    def whole_weights(self) -> Tensors | None:
        """Gather the weights one tensor at a time, on every rank."""
        return {name: _whole(tensor) for name, tensor in self.model.state_dict().items()}

    def state(self, optimizer: torch.optim.Optimizer) -> tuple[Tensors, Tensors]:
        """Gather weights and optimizer state one tensor at a time; only rank 0 keeps them."""
        gathered: list[Tensors] = []
        for tensors in (self.model.state_dict(), optimizer_tensors(optimizer)):
            kept = {}
            for name, tensor in tensors.items():
                whole = _whole(tensor)
                if self.first:
                    kept[name] = whole.cpu()
            gathered.append(kept)
        return gathered[0], gathered[1]

    def _shard(self, whole: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        from torch.distributed.tensor import DTensor, distribute_tensor

        # the optimizer's count of steps is a scalar, which is not divided
        if not isinstance(target, DTensor) or whole.shape != target.shape:
            return whole
        return distribute_tensor(whole, target.device_mesh, target.placements, src_data_rank=None)


def _whole(tensor: "torch.Tensor | DTensor") -> torch.Tensor:
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def norm_over_ranks(norm: torch.Tensor) -> torch.Tensor:
    """Return the norm over all ranks from the norm of this rank's part."""
    square = norm.double().square()
    dist.all_reduce(square)
    return square.sqrt().to(norm.dtype)
