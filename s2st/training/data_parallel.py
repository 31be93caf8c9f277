"""Data parallel training: every rank has the whole model and a share of each update's batches.

An update's batches are the same for any number of ranks; only who computes which differs. Gradients
are summed, not averaged, so two ranks with a batch each add what one process adds.
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

from s2st.options.config import load_json
from s2st.process.ranks import Ranks, wait_for_all
from s2st.training.checkpoint import (
    ResumedRun,
    TrainingState,
    optimizer_tensors,
    restore_optimizer,
)
from s2st.training.gradient_accumulation import Asked, Gradients, Loss, Share, Tensors
from s2st.training.sparse_embeddings import clip_gradients, sparse_parameters

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

Rows = list[tuple[float, float]]


class RankedGradients(Gradients):
    """What every division of the work over ranks needs: exchanges, and one decision for all.

    Args:
        loss: see `Gradients`; the first rank's weights become those of all.
        own: this rank.
    """

    def __init__(self, loss: Loss, device: torch.device, own: Ranks) -> None:
        super().__init__(loss, device)
        self.own = own
        self.first = own.first
        self._asked = torch.zeros(own.size, dtype=torch.float64)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """The first rank's weights become those of all."""
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, 0)

    def deal(self, count: int) -> range:
        """Every size-th, so that neighbours, which are of like size, go to different ranks."""
        return range(self.own.rank, count, self.own.size)

    def agreed(self, asked: Asked) -> int:
        """What any rank had been asked when sums were last exchanged."""
        return int(self._asked.max())

    def gather(self, rows: torch.Tensor, count: int, asked: Asked) -> torch.Tensor:
        """The (count, 2) rows of all batches in their order, from each rank's (dealt, 2)."""
        width = -(-count // self.own.size)
        mine = torch.zeros((width + 1, 2), dtype=torch.float64, device=self.device)
        mine[: len(rows)] = rows
        mine[width, 0] = asked()
        (everyone,) = self._all([mine], None)
        self._asked = everyone[:, width, 0]
        return everyone[:, :width].transpose(0, 1).flatten(0, 1)[:count].to(rows.dtype)

    def _gather_rows(self, rows: Rows, count: int, asked: Asked) -> Rows:
        mine = torch.tensor(rows, dtype=torch.float64, device=self.device).view(-1, 2)
        return [(nll, tokens) for nll, tokens in self.gather(mine, count, asked).tolist()]

    def together(self) -> None:
        """See `Gradients`."""
        wait_for_all(self.device)

    def restore(
        self, run: ResumedRun | None, optimizer: torch.optim.Optimizer
    ) -> TrainingState | None:
        """Reads on the first rank and tells the others, who need not see its files."""
        told = self._told(run)
        if told is None:
            return None
        content, weights, tensors = told
        with torch.no_grad():
            for name, target in self.model.state_dict().items():
                shape = list(target.shape), str(target.dtype).removeprefix("torch.")
                target.copy_(self._part(self._send(weights.get(name), *shape), target))
        parameters = list(self.model.parameters())
        received = {}
        for key, (size, kind) in content["optimizer"].items():
            whole = self._send(tensors.get(key), size, kind)
            received[key] = self._part(whole, parameters[int(key.partition(".")[0])])
        restore_optimizer(optimizer, received)
        return TrainingState(**content["state"])

    def _told(self, run: ResumedRun | None) -> tuple[dict[str, Any], Tensors, Tensors] | None:
        """What the first rank goes on with: training state ("state") and the shapes of the
        optimiser's ("optimizer"), on all ranks; weights and optimiser state, on the first.
        """
        weights: Tensors = {}
        tensors: Tensors = {}
        text = ""
        if run is not None:
            weights, tensors = run.tensors()
            text = json.dumps({"state": asdict(run.state), "optimizer": shapes(tensors)})
        text = self._tell(text)
        return (load_json(text), weights, tensors) if text else None

    def _part(self, whole: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """What of a whole tensor belongs beside this rank's `target`."""
        return whole

    def _tell(self, text: str) -> str:
        """The first rank's text."""
        encoded = text.encode()
        length = torch.tensor([len(encoded)], device=self.device)
        dist.broadcast(length, 0)
        content = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.first:
            content.copy_(torch.frombuffer(bytearray(encoded or b" "), dtype=torch.uint8)[:length])
        dist.broadcast(content, 0)
        return bytes(content.tolist()).decode()

    def _send(self, tensor: torch.Tensor | None, shape: Sequence[int], kind: str) -> torch.Tensor:
        """The first rank's tensor, which alone has it."""
        sent = torch.empty(tuple(shape), dtype=getattr(torch, kind), device=self.device)
        if tensor is not None:
            sent.copy_(tensor)
        dist.broadcast(sent, 0)
        return sent

    def _sum_tables(
        self, tables: Sequence[torch.Tensor], group: dist.ProcessGroup | None = None
    ) -> None:
        """Adds up sparse gradients; each rank of a group sends the rows that its batches read."""
        if not tables:
            return
        for table in tables:
            if table.grad is None:
                nothing = table.new_empty((0,), dtype=torch.int64), table[:0].detach()
                table.grad = _sparse(*nothing, table.shape)
            table.grad = table.grad.coalesce()
        own = [table.grad._nnz() for table in tables if table.grad is not None]
        counts = self._all([torch.tensor(own, device=self.device)], group)[0].tolist()
        most = torch.tensor(counts).amax(dim=0).tolist()
        for index, table in enumerate(tables):
            assert table.grad is not None
            rows, values = table.grad.indices()[0], table.grad.values()
            padding = (0, most[index] - len(rows))
            padded = nn.functional.pad(rows, padding), nn.functional.pad(values, (0, 0, *padding))
            everyone = self._all(padded, group)
            sizes = [count[index] for count in counts]
            rows, values = (
                torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
                for parts in everyone
            )
            table.grad = _sparse(rows, values, table.shape).coalesce()

    def _all(
        self, tensors: Sequence[torch.Tensor], group: dist.ProcessGroup | None
    ) -> list[torch.Tensor]:
        """Each tensor of every rank of a group, rank by rank in a new first dimension."""
        found, size = [], dist.get_world_size(group)
        for tensor in tensors:
            everyone = tensor.new_empty((size, *tensor.shape))
            self.bytes_exchanged += tensor.nbytes
            dist.all_gather(list(everyone), tensor.contiguous(), group)
            found.append(everyone)
        return found


def _sparse(rows: torch.Tensor, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """A gradient of a table that is zero but for some rows; a row given twice counts summed."""
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values, shape, check_invariants=False)


class DataParallel(RankedGradients):
    """Whole models under DistributedDataParallel; of sparse tables only the rows read are sent.

    Args:
        compression: "bfloat16" or "float16" to sum gradients in that format, else "none".
    """

    def __init__(self, loss: Loss, device: torch.device, own: Ranks, compression: str) -> None:
        super().__init__(loss, device, own)
        self._tables = sparse_parameters(self.model)
        names = [f"model.{name}" for name in self._tables]
        # no broadcasts nor buckets for them
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, names)
        self._wrapped = DistributedDataParallel(loss, gradient_as_bucket_view=True, init_sync=False)
        self._format = None if compression == "none" else getattr(torch, compression)
        # DDP reads the annotations of what it is given
        self._wrapped.register_comm_hook(None, lambda _, bucket: self._sum(bucket))
        self._idle = False

    def accumulate(self, share: Share, asked: Asked) -> torch.Tensor:
        """Exchanges gradients during the last backward pass only."""
        self._idle = not share.places
        last = len(share.batches) - 1
        sums = []
        for index, (batch, seed) in enumerate(zip(share.batches, share.seeds, strict=True)):
            with contextlib.nullcontext() if index == last else self._wrapped.no_sync():
                sums.append(self._backward(self._wrapped, batch, seed, share))
        if self._idle:
            for table in self._tables.values():
                table.grad = None
        self._sum_tables(list(self._tables.values()))
        rows = torch.stack(sums)[: len(share.places)]
        return self.gather(rows, share.count, asked).sum(dim=0)

    def _sum(self, bucket: Any) -> "torch.futures.Future[torch.Tensor]":
        """DDP's hook: sums a bucket of gradients."""
        buffer = bucket.buffer()
        if self._idle:  # x + -0.0 is x, to its sign, for every x
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
    """Sizes and number formats, by name."""
    return {
        name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


class ShardedDataParallel(RankedGradients):
    """FSDP2: each rank keeps a part of every weight, its gradient and its optimiser state.

    The weights are whole on every rank during an update's passes only. Tables must be dense.
    """

    def __init__(self, loss: Loss, device: torch.device, own: Ranks) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        super().__init__(loss, device, own)
        fully_shard(loss, mesh=init_device_mesh(device.type, (own.size,)))
        assert isinstance(loss, FSDPModule)
        loss.set_gradient_divide_factor(1.0)  # sums, as DataParallel
        loss.set_force_sum_reduction_for_comms(True)  # gloo has no other
        self._sharded = loss

    def accumulate(self, share: Share, asked: Asked) -> torch.Tensor:
        """Gathers the weights once, and scatters the gradients in the last backward pass."""
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
        return self.gather(rows, share.count, asked).sum(dim=0)

    def clip(self, limit: float) -> torch.Tensor:
        """By the norm over all ranks' parts."""
        return clip_gradients(self.model.parameters(), limit, norm_of_all)

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, every rank has all weights, whichever methods are called how often."""
        self._sharded.unshard()
        try:
            yield
        finally:
            self._sharded.reshard()

    def state(self, optimizer: torch.optim.Optimizer) -> tuple[Tensors, Tensors]:
        """Gathered a tensor at a time; only the first rank keeps them."""
        gathered: list[Tensors] = []
        for tensors in (self.model.state_dict(), optimizer_tensors(optimizer)):
            kept = {}
            for name, tensor in tensors.items():
                whole = _whole(tensor)
                if self.first:
                    kept[name] = whole.cpu()
            gathered.append(kept)
        return gathered[0], gathered[1]

    def _part(self, whole: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(target, DTensor) or whole.shape != target.shape:  # a count of steps
            return whole
        return distribute_tensor(whole, target.device_mesh, target.placements, src_data_rank=None)


def _whole(tensor: "torch.Tensor | DTensor") -> torch.Tensor:
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def norm_of_all(norm: torch.Tensor) -> torch.Tensor:
    """The norm of what all ranks have, each the given part."""
    square = norm.double().square()
    dist.all_reduce(square)
    return square.sqrt().to(norm.dtype)
