"""Gradient accumulation over the batches of an update, and the interface of parallel training.

`Gradients` is training in one process. The subclasses divide the work over ranks:
`data_parallel.py` divides batches, `pipeline_parallel.py` divides layers and the softmax. Every
difference between one process and several is in these classes. The training loop is the same on
every rank and takes the same decisions.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from s2st.criteria.cross_entropy import Criterion
from s2st.data.batch import Batch
from s2st.data.batch_loader import load_batch
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.data.parallel_corpus import ParallelCorpus
from s2st.errors import S2STError
from s2st.models.base import Seq2SeqModel
from s2st.models.weight_files import first_not_finite
from s2st.process.device import autocast, is_out_of_memory
from s2st.process.ranks import Ranks
from s2st.training.checkpoint import ResumedRun, TrainingState, optimizer_tensors
from s2st.training.sparse_embeddings import added_by_row, clip_gradients

Tensors = dict[str, torch.Tensor]
StopSignal = Callable[[], int]  # the number of the signal that asks this rank to stop, else 0
Sums = tuple[torch.Tensor, torch.Tensor, int]  # loss (differentiable), nll, target tokens


class BatchMemoryError(S2STError):
    """Out of memory in a batch. The update was not applied, and no checkpoint was saved."""


@dataclass(frozen=True)
class Share:
    """One rank's part of an update, on the rank's device, with the totals of the whole update.

    Attributes:
        epoch, position: epoch of the update's first batch and its index in the epoch's plan.
        update: number of updates before this one.
        places: indices of this rank's batches within the update.
        batches: one batch for each place. A rank without a place has one batch all the same,
            which takes part in the exchanges but must not count.
        seeds: one random seed for each of `batches`.
        count: number of batches in the whole update.
        sentences, source_tokens, target_tokens: totals of the whole update, EOS included.
        divisor: the summed loss is divided by this number.
    """

    epoch: int
    position: int
    update: int
    places: Sequence[int]
    batches: Sequence[Batch]
    seeds: Sequence[int]
    count: int
    sentences: int
    source_tokens: int
    target_tokens: int
    divisor: float


class Loss(nn.Module):
    """Model and criterion as one module, because DDP and FSDP hook into a module's `forward`."""

    def __init__(
        self, model: Seq2SeqModel, criterion: Criterion, device: torch.device, precision: str
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion
        self._device = device
        self._precision = precision

    def forward(self, batch: Batch) -> Sums:
        """Return the sums of loss and nll over the batch, and its number of target tokens."""
        with autocast(self._device, self._precision):
            output = self.criterion(self.model.for_target(batch.target_language), batch)
        return output.loss_sum, output.nll_sum, output.token_count


class Gradients:
    """Training in one process: all batches of an update, one after the other.

    Args:
        loss: model and criterion, on `device`. A subclass may replace the model's parameters
            here. Build the optimizer afterwards.
        device: where to compute.

    Attributes:
        first: whether this rank writes checkpoints, logs, and chooses the checkpoint to resume.
        bytes_exchanged: bytes that this rank has sent to other ranks.
        decoding_ranks: this process among the ranks for which `whole_weights` returns weights.
    """

    first = True
    bytes_exchanged = 0
    decoding_ranks = Ranks()

    def __init__(self, loss: Loss, device: torch.device) -> None:
        self.loss = loss
        self.model: nn.Module = loss.model
        self.device = device

    def assigned(self, count: int) -> range:
        """Return the indices, out of 0 to count - 1, of the batches that this rank computes."""
        return range(count)

    def accumulate(self, share: Share, stop_signal: StopSignal) -> torch.Tensor:
        """Compute the gradient of the whole update, and leave it in each parameter's `grad`.

        The gradient is that of the summed loss divided by `share.divisor`.

        Args:
            share: this rank's part of the update.
            stop_signal: called once per update where ranks exchange their stop signals.

        Returns:
            (2,) sums of loss and nll over the whole update, equal on every rank.

        Raises:
            BatchMemoryError: out of memory; the message names the batch.
        """
        sums = [
            self._backward(self.loss, batch, seed, share)
            for batch, seed in zip(share.batches, share.seeds, strict=True)
        ]
        return torch.stack(sums).sum(dim=0)

    def _backward(
        self, loss: Callable[[Batch], Sums], batch: Batch, seed: int, share: Share
    ) -> torch.Tensor:
        """Add the gradient of one batch. Return (2,) its sums of loss and nll."""
        torch.manual_seed(seed)
        with memory_checked(batch, share), added_by_row(self.model.parameters()):
            loss_sum, nll_sum, _ = loss(batch)
            (loss_sum / share.divisor).backward()
        return torch.stack([loss_sum.detach(), nll_sum])

    def clip(self, limit: float) -> torch.Tensor:
        """Scale the gradient down to the norm `limit`. Return the norm before, equal on ranks."""
        return clip_gradients(self.model.parameters(), limit)

    def agreed_signal(self, stop_signal: StopSignal) -> int:
        """Return the number of the signal that makes all ranks stop, else 0."""
        return stop_signal()

    @torch.no_grad()
    def validate(
        self, corpus: ParallelCorpus, batching: BatchingConfig, stop_signal: StopSignal
    ) -> float:
        """Return -log p per target token of a split, EOS included, in nats, equal on every rank."""
        self.model.eval()
        plan = plan_in_order(corpus.target.lengths(), batching)
        rows = []
        with self.full_parameters():
            for place in self.assigned(len(plan)):
                _, nll, tokens = self.loss(load_batch(corpus, plan[place]).to(self.device))
                rows.append((float(nll), float(tokens)))
        rows = self._gather_sums(rows, len(plan), stop_signal)
        # in the order of the batches, because floating-point sums depend on the order
        return sum(nll for nll, _ in rows) / max(1.0, sum(tokens for _, tokens in rows))

    @contextlib.contextmanager
    def full_parameters(self) -> Iterator[None]:
        """Make every parameter whole on this rank for the duration of the context.

        Inside, each rank may call the model as often as it needs, without the other ranks.
        """
        yield

    def _gather_sums(
        self, rows: list[tuple[float, float]], count: int, stop_signal: StopSignal
    ) -> list[tuple[float, float]]:
        """Return (nll, tokens) of all `count` batches, from the rows of each rank's batches."""
        return rows

    def not_finite(self, optimizer: torch.optim.Optimizer) -> str:
        """Return what holds numbers that are not finite, "" if all are finite.

        Covers what `state` would return: weights and optimizer state. Every rank must call this
        method.
        """
        name = first_not_finite(self.model.state_dict())
        if name:
            return name
        key = first_not_finite(optimizer_tensors(optimizer))
        return f"the optimizer's state {key}" if key else ""

    def state(self, optimizer: torch.optim.Optimizer) -> tuple[Tensors, Tensors]:
        """Return weights and optimizer state for a checkpoint, whole on rank 0.

        Every rank must call this method.
        """
        return self.model.state_dict(), optimizer_tensors(optimizer)

    def restore(
        self, run: ResumedRun | None, optimizer: torch.optim.Optimizer
    ) -> TrainingState | None:
        """Load a checkpoint's weights and optimizer state. Return its training state.

        Args:
            run: on rank 0 the checkpoint to resume, or None to start anew; None on other ranks.
            optimizer: receives its state.
        """
        if run is None:
            return None
        run.load_into(self.model, optimizer)
        return run.state

    def wait_for_all(self) -> None:
        """Wait until every rank has called this method."""

    def whole_weights(self) -> Tensors | None:
        """Return all weights by name if this rank translates the validation split, else None.

        Every rank must call this method. The tensors may be those of the model.
        """
        return self.model.state_dict()

    def exchange_texts(self, text: str) -> list[str]:
        """Return the texts of all ranks in order, given that of this rank."""
        return [text]


@contextlib.contextmanager
def memory_checked(batch: Batch, share: Share) -> Iterator[None]:
    """Turn an out-of-memory error inside the context into a BatchMemoryError naming the batch."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        causes = error, error.__cause__  # torch's pipelines wrap the error of a stage
        if not any(is_out_of_memory(cause) for cause in causes if cause is not None):
            raise
        longest = int(batch.source.lengths.max()) - 1, int(batch.target_lengths.max()) - 1
        raise BatchMemoryError(
            f"update {share.update + 1}: out of memory "
            f"({describe(batch.source.line_ids, *longest)}); lower --batch-size or --max-tokens"
        ) from error


def describe(pairs: Sequence[int], source: int, target: int) -> str:
    """Describe the pairs of an update in an error message.

    Args:
        pairs: indices of the pairs in the training split, from 0.
        source, target: number of words of the longest side. `source` is 0 for a language model.
    """
    shown = ", ".join(str(index + 1) for index in pairs[:5]) + (", ..." if len(pairs) > 5 else "")
    if not source:
        return f"lines {shown} of the training split, {len(pairs)} in all, up to {target} words"
    return (
        f"pairs {shown} of the training split, {len(pairs)} in all, up to {source} source and "
        f"{target} target words"
    )
