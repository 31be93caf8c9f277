"""The training loop: updates, validation, checkpoints, early stopping, exact resume."""

import hashlib
import logging
import math
import signal
import time
from dataclasses import replace

import numpy as np
import torch

from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig, Indices
from s2st.data.corpora import CorpusSet, corpus_set
from s2st.errors import InterruptedBySignalError
from s2st.process.device import peak_memory
from s2st.training.checkpoint import ResumedRun, TrainingState
from s2st.training.checkpoint_folder import CheckpointFolder
from s2st.training.divergence import (
    DivergenceError,
    ValidationDivergenceError,
    WeightsDivergenceError,
)
from s2st.training.gradient_accumulation import Gradients, Share, StopSignal, describe
from s2st.training.moving_average import WeightAverages
from s2st.training.observer import Meter, Observer, ValidationReport
from s2st.training.options import TrainerConfig
from s2st.training.training_limits import TIME_IS_UP, reason_to_end, time_left
from s2st.training.training_parts import TrainingParts
from s2st.training.validation import Decoded

log = logging.getLogger("s2st")


class Trainer:
    """The training loop; all random draws follow from (seed, epoch, update).

    Args:
        parts: model, criterion, optimizer, schedule and data.
        config: limits, intervals, normalization.
        batching: batch sizes.
        gradients: computes gradients and validation losses, alone or with other ranks.
        observer: receives the progress.
        stop_signal: returns the number of the signal that asks to stop, else 0. Called after every
            update.
        folder: the save folder; None opens `config.save_dir`.

    Attributes:
        state: the training state, which checkpoints keep.
        ended, stopped_early: why `train` ended, "" before; whether resuming would continue.
        seconds, seconds_saving: wall-clock time of `train`, and of saving within it.
    """

    def __init__(
        self,
        parts: TrainingParts,
        config: TrainerConfig,
        batching: BatchingConfig,
        gradients: Gradients,
        observer: Observer,
        stop_signal: StopSignal,
        folder: CheckpointFolder | None = None,
    ) -> None:
        self.parts = parts
        self.gradients = gradients
        self.config = config
        self.batching = batching
        self.observer = observer
        self.stop_signal = stop_signal
        self.state = TrainingState()
        self.folder = folder or CheckpointFolder(config.save_dir, config.keep_last)
        self._update_freq = config.update_freq or 1
        self._loader = TrainingLoader(parts.training, batching, config.seed, self._update_freq)
        self._base_rates = [group["lr"] for group in parts.optimizer.param_groups]
        self._averages = WeightAverages(parts.optimizer, config.ema_decay)
        self._meter = Meter()
        self.ended, self.stopped_early = "", False
        self._saved_update = -1
        self.seconds = self.seconds_saving = 0.0
        self._planned: tuple[int, list[Indices]] = (-1, [])  # epoch and its batches
        self._prefetched: Share | None = None

    def restore(self, run: ResumedRun | None) -> bool:
        """Resume from the checkpoint of rank 0. Return False if it has none.

        Args:
            run: the checkpoint on rank 0, None on other ranks.
        """
        state = self.gradients.restore(run, self.parts.optimizer)
        if state is None:
            return False
        self._averages.restored()
        self.state = state
        self._meter = Meter(state.interval)
        self.parts.schedule.restore(state.schedule)
        self._saved_update = state.update
        return True

    def train(self) -> TrainingState:
        """Train until a limit is reached, and return the final state.

        Raises:
            DivergenceError: the loss or gradient is not finite; the last checkpoint is intact.
            InterruptedBySignalError: a signal arrived; the state was saved.
            OutputError: a checkpoint cannot be written, or the save folder was replaced.
        """
        started = time.perf_counter()
        if self.gradients.first:
            self.folder.prepare()
        config = self.config
        self.observer.started(self.state.update, config.max_epoch, config.max_update)
        self.observer.continues(self.state.update, self.state.reports)
        self.ended, self.stopped_early = "", False
        while not self.ended:
            self._step()
        self.seconds = time.perf_counter() - started
        return self.state

    def _step(self) -> None:
        """Train for an update, or end the training if a limit is reached."""
        try:
            limit = reason_to_end(self.config, self.state, self._epoch_now())
            if limit:
                self._end(limit)
                return
            self._update()
            self._after_update()
            self._end_epoch_if_due()
        except DivergenceError as error:
            self._recover(error)

    def _end(self, limit: str) -> None:
        self._report_updates()
        if not self.state.history or self.state.history[-1]["update"] != self.state.update:
            self._validate()
        self._save()
        self.ended = limit

    def _plan(self) -> list[Indices]:
        """Return the batches of the current epoch."""
        epoch, plan = self._planned
        if epoch != self.state.epoch:
            epoch, plan = self._planned = self.state.epoch, self._loader.plan(self.state.epoch)
        return plan

    def _end_epoch_if_due(self) -> None:
        state = self.state
        if state.position >= len(self._plan()):
            state.epoch, state.position = state.epoch + 1, 0
            self._validate()
            self._save()
            self._stop_if_asked()

    def _recover(self, error: DivergenceError) -> None:
        """Skip the batch or restore the last checkpoint, if the options allow it; else raise."""
        state, config = self.state, self.config
        if config.on_divergence == "stop" or state.divergences >= config.max_divergences:
            raise error
        count = state.divergences + 1
        if config.on_divergence == "skip":
            if isinstance(error, ValidationDivergenceError):
                raise error
            state.position += self._update_freq
            state.divergences = count
            log.warning(
                "%s: batch skipped (%d of at most %d)", error, count, config.max_divergences
            )
            self._end_epoch_if_due()
            return
        scale = state.rate_scale / 2
        if not self.restore(self.folder.resume() if self.gradients.first else None):
            raise error
        self.state.divergences, self.state.rate_scale = count, scale
        self.observer.continues(self.state.update, self.state.reports)
        log.warning(
            "%s: restored update %d with the learning rate times %g (%d of at most %d)",
            error, self.state.update, scale, count, config.max_divergences,
        )  # fmt: skip

    def _epoch_now(self) -> float:
        return self.state.epoch + self.state.position / len(self._plan())

    # one update

    def _update(self) -> None:
        state, parts = self.state, self.parts
        started = time.perf_counter()
        share = self._share()
        rate_factor = parts.schedule.factor(state.update + 1, self._epoch_now())
        for group, base in zip(parts.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * rate_factor * state.rate_scale
        self.gradients.model.train()
        parts.criterion.begin_update(state.update + 1)
        parts.optimizer.zero_grad(set_to_none=True)
        sums = self.gradients.accumulate(share, self.stop_signal)
        norm = self.gradients.clip(self.config.clip_norm or math.inf)
        after = state.position + share.count
        if after < len(self._plan()):  # read the next batches while the GPU computes
            self._prefetched = self._read(after, state.update + 1)
        # the only place where the CPU waits for the GPU
        loss, nll, norm = torch.stack([*sums, norm.to(sums[0].dtype)]).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergenceError(
                f"update {state.update + 1}: loss {loss:g}, gradient norm {norm:g}; the update "
                f"was not applied ({self._describe(state.position)}); lower --lr, set "
                "--clip-norm, or use --on-divergence"
            )
        parts.optimizer.step()
        state.update += 1
        self._averages.update(state.update)
        state.position = after
        state.train_nll_sum += nll
        state.train_tokens += share.target_tokens
        seconds = time.perf_counter() - started
        self._meter.add(loss, nll, share.source_tokens, share.target_tokens, norm, seconds)

    def rehearse(self, batches: list[Indices]) -> float:
        """Do one real update on these batches, for a dry run; nothing is reported or saved.

        Args:
            batches: indices of the pairs of each batch; at most the batches of an update.

        Returns:
            Wall-clock seconds.

        Raises:
            DivergenceError: loss or gradient is not finite.
            BatchMemoryError: out of memory.
        """
        self._planned, self._prefetched = (self.state.epoch, batches), None
        self.state.position = 0
        started = time.perf_counter()
        self._update()
        return time.perf_counter() - started

    def _share(self) -> Share:
        """Return this rank's part of the next update."""
        state, share = self.state, self._prefetched
        self._prefetched = None
        wanted = state.epoch, state.position, state.update
        if share is None or (share.epoch, share.position, share.update) != wanted:
            share = self._read(state.position, state.update)
        return share

    def _batches_at(self, position: int) -> list[Indices]:
        """Return the batches of the update that starts at a position of the epoch."""
        return self._plan()[position : position + self._update_freq]

    def _read(self, position: int, update: int) -> Share:
        """Load this rank's batches of the update that starts at a position of the epoch."""
        chosen = self._batches_at(position)
        places = self.gradients.assigned(len(chosen))
        local = [chosen[place] for place in places] or [rows[:1] for rows in chosen[:1]]
        pairs = np.concatenate([*chosen, np.zeros(0, np.int64)])
        epoch = self.state.epoch
        sources, targets = self._loader.token_counts(pairs, epoch)
        return Share(
            epoch=epoch,
            position=position,
            update=update,
            places=places,
            batches=[self._loader.load(rows, epoch).to(self.gradients.device) for rows in local],
            seeds=[_draw_seed(self.config.seed, update, place) for place in places or [0]],
            count=len(chosen),
            sentences=len(pairs),
            source_tokens=sources,
            target_tokens=targets,
            divisor=len(pairs) if self.config.normalization == "sentences" else targets,
        )

    def _describe(self, position: int) -> str:
        """Describe the pairs of the update at a position, for an error message."""
        pairs = np.concatenate(self._batches_at(position))
        return describe(
            pairs.tolist(), *(int(length[pairs].max()) for length in self._loader.lengths)
        )

    # between updates

    def _after_update(self) -> None:
        state, config = self.state, self.config
        if state.update % config.log_interval == 0:
            self._report_updates()
        end_of_epoch = state.position >= len(self._plan())
        every = config.validate_interval_updates
        if every is not None and state.update % every == 0 and not end_of_epoch:
            self._validate()
            self._save()
        every = config.save_interval_updates
        if every is not None and state.update % every == 0 and not end_of_epoch:
            self._save()
        if not end_of_epoch:
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        signal_number = self.gradients.agreed_signal(self.stop_signal)
        if signal_number == TIME_IS_UP:
            self._save()
            self.ended = f"time limit (--max-time {self.config.max_time or 0:g})"
            self.stopped_early = True
        elif signal_number:
            self._save()
            self.gradients.wait_for_all()  # torchrun kills the other ranks when one ends
            where = f"update {self.state.update}; saved in {self.folder.folder}"
            name = signal.Signals(signal_number).name
            message = f"stopped by {name} at {where}; run the same command again to resume"
            raise InterruptedBySignalError(signal_number, message)

    def _report_updates(self) -> None:
        if self._meter.updates:
            epoch = self._epoch_now()
            rate = self.parts.optimizer.param_groups[0]["lr"]
            seconds = self._meter.seconds_per_update()
            left, end = time_left(self.config, self.state.update, epoch, seconds)
            reads = getattr(self.parts.record.config, "reads_source", True)
            report = self._meter.report(self.state.update, epoch, rate, left, reads)
            early = self.config.patience is not None
            memory = peak_memory(self.gradients.device)
            self.state.reports += 1
            self.observer.updated(replace(report, end=end, may_stop_early=early, memory=memory))
            self._meter = Meter()

    def _validate(self) -> None:
        state, epoch = self.state, self._epoch_now()
        self._saved_update = -1  # a checkpoint of this update would lack the result
        self._report_updates()
        train_nll = state.train_nll_sum / max(1, state.train_tokens)
        state.train_nll_sum, state.train_tokens = 0.0, 0
        if self.parts.validation is None:
            state.best_update = state.update  # without validation the last checkpoint is the best
            state.history.append({"update": state.update, "epoch": epoch, "train_nll": train_nll})
            return
        with self._averages.in_place():
            nll, corpora = self._validation_losses(corpus_set(self.parts.validation))
            decoder = self.parts.decoder
            decoded = decoder(self.gradients) if decoder and math.isfinite(nll) else Decoded()
        if not math.isfinite(nll):
            raise ValidationDivergenceError(
                f"update {state.update}: validation loss is {nll}; not saved"
            )
        best = self.parts.best_metric.judge(state, nll, decoded.metrics)
        rate = self.parts.optimizer.param_groups[0]["lr"]
        self.parts.schedule.validated(self.parts.best_metric.cost(nll, decoded.metrics))
        report = ValidationReport(
            state.update, epoch, nll, train_nll, rate, best, decoded.metrics, decoded.samples,
            corpora,
        )  # fmt: skip
        state.reports += 1
        state.history.append(report.record())
        self.observer.validated(report)

    def _validation_losses(self, data: CorpusSet) -> tuple[float, dict[str, float]]:
        """Return -log p per target token of all corpora together, and of each of several."""
        losses, tokens = {}, []
        for name, part in data.named_parts():
            losses[name] = self.gradients.validate(part, self.batching, self.stop_signal)
            tokens.append(len(part.target.ids) + len(part))
        if len(losses) == 1:
            return next(iter(losses.values())), {}
        sums = (nll * count for nll, count in zip(losses.values(), tokens, strict=True))
        return sum(sums) / sum(tokens), losses

    def _save(self) -> None:
        state, parts = self.state, self.parts
        if self._saved_update == state.update:
            return
        started = time.perf_counter()
        state.schedule, state.interval = parts.schedule.state(), self._meter.state()
        with self._averages.in_place():
            bad = self.gradients.not_finite(parts.optimizer)
            if bad:
                raise WeightsDivergenceError(
                    f"update {state.update}: {bad} holds numbers that are not finite; it was not "
                    "saved, and the last checkpoint stays; lower --lr or set --clip-norm, or see "
                    "--on-divergence restore"
                )
            tensors = self.gradients.state(parts.optimizer)
            self._saved_update = state.update
            if self.gradients.first:
                self.observer.saving()
                kept = parts.best_metric.ranked(state.history)[: self.config.keep_best]
                name = self.folder.save(parts.record, *tensors, state, parts.identity, kept)
                self.observer.saved(name)
        self.seconds_saving += time.perf_counter() - started


def _draw_seed(seed: int, update: int, place: int) -> int:
    """Return the seed of the random draws for one batch of an update."""
    text = f"{seed} {update} {place}" if place else f"{seed} {update}"
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:7], "little")
