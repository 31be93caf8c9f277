"""How the gradients of an update are made, and what else differs where several ranks train.

`Gradients` is one process, batch after batch. `parallel.DataParallel` deals the batches over ranks;
another division of the work (stages, a divided softmax) is another subclass. The trainer asks for
nothing else that could differ, so every rank runs the same loop and comes to the same decisions.
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
from s2st.data.store import ParallelCorpus
from s2st.errors import S2STError
from s2st.models.base import Seq2SeqModel
from s2st.process.device import autocast, is_out_of_memory
from s2st.training.checkpoint import ResumedRun, TrainingState, optimizer_tensors
from s2st.training.sparse_embeddings import added_by_row, clip_gradients

Tensors = dict[str, torch.Tensor]
Asked = Callable[[], int]  # number of a signal that asked this rank to stop, else 0
Sums = tuple[torch.Tensor, torch.Tensor, int]  # loss, with gradient; nll; target tokens


class BatchMemoryError(S2STError):
    """A batch needs more memory than there is; nothing was applied or saved."""


@dataclass(frozen=True)
class Share:
    """A rank's part of an update, on its device, and what it must know of the whole.

    Attributes:
        epoch, position: where the update's first batch stands.
        update: updates before it.
        places: of the rank's batches in the update.
        batches: the rank's, one for each place; where it has none, one that must not count.
        seeds: of the random draws for each of `batches`.
        count: batches of the whole update.
        sentences, source_tokens, target_tokens: of the whole update, EOS counted.
        divisor: of the summed loss.
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
    """The criterion on a batch as one forward pass, for wrappers that hook into `forward`."""

    def __init__(
        self, model: Seq2SeqModel, criterion: Criterion, device: torch.device, precision: str
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion
        self._device = device
        self._precision = precision

    def forward(self, batch: Batch) -> Sums:
        """Sums over the batch."""
        with autocast(self._device, self._precision):
            output = self.criterion(self.model, batch)
        return output.loss_sum, output.nll_sum, output.token_count


class Gradients:
    """One process makes all gradients of an update, batch after batch.

    Args:
        loss: model and criterion, on `device`; a subclass may wrap the model's parameters here,
            so the optimiser is made afterwards.
        device: where to compute.
    """

    first = True  # whether this rank writes, logs and decides what to resume from
    bytes_exchanged = 0  # that this rank gave to exchanges so far

    def __init__(self, loss: Loss, device: torch.device) -> None:
        self.loss = loss
        self.model: nn.Module = loss.model
        self.device = device

    def deal(self, count: int) -> range:
        """Which of the batches 0 to count - 1, of an update or a validation, are this rank's."""
        return range(count)

    def accumulate(self, share: Share, asked: Asked) -> torch.Tensor:
        """Leaves the whole update's gradient, the summed loss over the divisor, in `grad`.

        Args:
            share: this rank's part.
            asked: asked once where ranks are to agree.

        Returns:
            (2,) sums of loss and nll over the whole update, the same on every rank.

        Raises:
            BatchMemoryError: no memory for a batch, which is named.
        """
        sums = [
            self._backward(self.loss, batch, seed, share)
            for batch, seed in zip(share.batches, share.seeds, strict=True)
        ]
        return torch.stack(sums).sum(dim=0)

    def _backward(
        self, loss: Callable[[Batch], Sums], batch: Batch, seed: int, share: Share
    ) -> torch.Tensor:
        """Adds a batch's gradient; (2,) its sums of loss and nll."""
        torch.manual_seed(seed)
        with memory_checked(batch, share), added_by_row(self.model.parameters()):
            loss_sum, nll_sum, _ = loss(batch)
            (loss_sum / share.divisor).backward()
        return torch.stack([loss_sum.detach(), nll_sum])

    def clip(self, limit: float) -> torch.Tensor:
        """Scales the gradient down to this norm; the norm before, the same on every rank."""
        return clip_gradients(self.model.parameters(), limit)

    def agreed(self, asked: Asked) -> int:
        """The number of the signal that all ranks stop for, else 0."""
        return asked()

    @torch.no_grad()
    def validate(self, corpus: ParallelCorpus, batching: BatchingConfig, asked: Asked) -> float:
        """-log p a target token, EOS counted, over a split, in nats; the same on every rank."""
        self.model.eval()
        plan = plan_in_order(corpus.target.lengths(), batching)
        rows = []
        with self.whole():
            for place in self.deal(len(plan)):
                _, nll, tokens = self.loss(load_batch(corpus, plan[place]).to(self.device))
                rows.append((float(nll), float(tokens)))
        rows = self._gather_rows(rows, len(plan), asked)
        # one after the other, as one process adds them
        return sum(nll for nll, _ in rows) / max(1.0, sum(tokens for _, tokens in rows))

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the model's methods can be called on every rank, as often as each likes."""
        yield

    def _gather_rows(
        self, rows: list[tuple[float, float]], count: int, asked: Asked
    ) -> list[tuple[float, float]]:
        """The rows of all `count` batches of which every rank has those that it was dealt."""
        return rows

    def state(self, optimizer: torch.optim.Optimizer) -> tuple[Tensors, Tensors]:
        """Weights and optimiser state for a checkpoint, whole on the first rank; all must call."""
        return self.model.state_dict(), optimizer_tensors(optimizer)

    def restore(
        self, run: ResumedRun | None, optimizer: torch.optim.Optimizer
    ) -> TrainingState | None:
        """Puts a checkpoint's weights and optimiser state back; its training state.

        Args:
            run: what the first rank goes on with, None for nothing; others give None.
        """
        if run is None:
            return None
        run.load_into(self.model, optimizer)
        return run.state

    def together(self) -> None:
        """Waits until every rank is here."""


@contextlib.contextmanager
def memory_checked(batch: Batch, share: Share) -> Iterator[None]:
    """Where memory runs out here, raises BatchMemoryError that names the batch."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        causes = error, error.__cause__  # torch's pipelines wrap what a stage raises
        if not any(is_out_of_memory(cause) for cause in causes if cause is not None):
            raise
        longest = int(batch.source.lengths.max()) - 1, int(batch.target_lengths.max()) - 1
        raise BatchMemoryError(
            f"update {share.update + 1}: out of memory "
            f"({describe(batch.source.line_ids, *longest)}); lower --batch-size or --max-tokens"
        ) from error


def describe(pairs: Sequence[int], source: int, target: int) -> str:
    """Which pairs, by index, with so many words in the longest, for the user to look at.

    Sources without words are those of a language model.
    """
    shown = ", ".join(str(index + 1) for index in pairs[:5]) + (", ..." if len(pairs) > 5 else "")
    if not source:
        return f"lines {shown} of the training split, {len(pairs)} in all, up to {target} words"
    return (
        f"pairs {shown} of the training split, {len(pairs)} in all, up to {source} source and "
        f"{target} target words"
    )
