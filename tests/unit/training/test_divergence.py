"""Losses that are not finite: nothing bad is applied or saved; skipping and going back."""

import math
import os
from dataclasses import replace

import pytest
import torch
from trainers import CPU, STILL, TRAIN, trainer

from s2st.data.batch_loader import TrainingLoader
from s2st.errors import CheckpointError, InterruptedBySignalError
from s2st.jobs.verify_checksums import verify
from s2st.models.model_files import write_model_files
from s2st.models.weight_files import load_tensors
from s2st.training.checkpoint import read_run
from s2st.training.gradient_accumulation import BatchMemoryError
from s2st.training.trainer import (
    DivergenceError,
    ValidationDivergenceError,
    WeightsDivergenceError,
)


class Poisoned:
    """NaN for the batch with a certain first pair, as long as `bad(lr)` says so."""

    def __init__(self, run, pair, bad=lambda rate: True):
        self.inner, self.pair, self.bad, self.run = run.parts.criterion, pair, bad, run

    def __call__(self, tiny, batch):
        output = self.inner(tiny, batch)
        rate = self.run.parts.optimizer.param_groups[0]["lr"]
        if tiny.training and batch.source.line_ids[0] == self.pair and self.bad(rate):
            return replace(output, loss_sum=output.loss_sum * math.nan)
        return output


def poisoned(folder, epoch=1, position=1, bad=lambda rate: True, **options):
    """A run whose batch at that place is bad; the place's first pair."""
    run = trainer(folder, optimizer="adam", lr=0.01, **options)
    pair = int(TrainingLoader(TRAIN, run.batching, run.config.seed).plan(epoch)[position][0])
    run.gradients.loss.criterion = Poisoned(run, pair, bad)
    return run, pair


def final(folder):
    return {
        name: (folder / "checkpoint_last" / name).read_bytes()
        for name in ("weights.safetensors", "training/optimizer.safetensors")
    }


def test_nan_stops_the_run_and_leaves_the_last_checkpoint_good(tmp_path):
    """The only batch that starts with this pair in epochs 0 and 1 is at update 8 or before."""
    run, pair = poisoned(tmp_path)
    with pytest.raises(DivergenceError, match=r"update \d: loss nan") as caught:
        run.train()
    assert f"pairs {pair + 1}, " in str(caught.value)
    assert run.state.update in range(9)
    assert all(value.isfinite().all() for value in run.parts.model.state_dict().values())
    if run.state.update >= 6:
        last = read_run(tmp_path / "checkpoint_last")
        assert last.state.update == 6
        assert all(w.isfinite().all() for w in last.saved.load(CPU).state_dict().values())


def test_an_infinite_gradient_is_divergence_too(tmp_path):
    run = trainer(tmp_path, lr=1e38, config=STILL)
    with pytest.raises(DivergenceError):
        run.train()


def test_a_skipped_batch_leaves_no_trace_but_its_count(tmp_path, caplog):
    """Equal to a run whose plan never had that batch."""
    run, pair = poisoned(tmp_path / "skipped", on_divergence="skip")
    with caplog.at_level("WARNING", "s2st"):
        run.train()
    skipped = run.state.divergences
    assert skipped >= 1
    assert sum("batch skipped" in text for text in caplog.messages) == skipped

    class Without(TrainingLoader):
        def plan(self, epoch):
            return [batch for batch in super().plan(epoch) if int(batch[0]) != pair]

    other = trainer(tmp_path / "without", optimizer="adam", lr=0.01)
    other._loader = Without(TRAIN, other.batching, other.config.seed)
    other.train()
    assert other.state.update == run.state.update == 12 - skipped
    assert final(tmp_path / "skipped") == final(tmp_path / "without")


@pytest.mark.parametrize("position", [0, 5])
def test_the_first_and_last_batch_of_an_epoch_can_be_skipped(tmp_path, position):
    run, _ = poisoned(tmp_path, epoch=0, position=position, on_divergence="skip")
    run.train()
    assert (run.state.epoch, run.state.position) == (2, 0)
    assert run.state.update + run.state.divergences == 12
    assert [entry["epoch"] for entry in run.state.history] == [1.0, 2.0]


def test_a_skipping_run_that_is_stopped_goes_on_exactly(tmp_path):
    straight, _ = poisoned(tmp_path / "straight", on_divergence="skip")
    straight.train()
    for count in range(straight.state.update - 1):
        folder = tmp_path / f"stopped{count}"
        seen = iter(range(1000))
        stopping = lambda seen=seen, count=count: 15 if next(seen) == count else 0  # noqa: E731
        stopped, _ = poisoned(folder, on_divergence="skip", stop=stopping)
        with pytest.raises(InterruptedBySignalError):
            stopped.train()
        resumed, _ = poisoned(folder, on_divergence="skip")
        resumed.restore(read_run(folder / "checkpoint_last"))
        resumed.train()
        assert resumed.state == straight.state
        assert final(folder) == final(tmp_path / "straight")


def test_at_most_so_many_are_skipped(tmp_path):
    run = trainer(tmp_path, on_divergence="skip", max_divergences=2, config=STILL, lr=1e38)
    with pytest.raises(DivergenceError):
        run.train()
    assert run.state.divergences == 2


def test_restoring_goes_back_with_half_the_rate(tmp_path, caplog):
    """The batch is bad above 0.003: 0.01 and 0.005 diverge, 0.0025 does not."""
    run, _ = poisoned(tmp_path, on_divergence="restore", bad=lambda rate: rate > 0.003, epoch=1)
    # both epochs hold the pair: make epoch 0 good, so that there is a checkpoint to go back to
    inner = run.gradients.loss.criterion
    inner.bad = lambda rate: rate > 0.003 and run.state.epoch == 1
    with caplog.at_level("WARNING", "s2st"):
        run.train()
    assert run.state.divergences == 2
    assert run.state.rate_scale == 0.25
    assert run.state.update == 12
    assert sum("restored update 6" in text for text in caplog.messages) == 2
    rates = [entry["learning_rate"] for entry in run.state.history]
    assert rates == pytest.approx([0.01, 0.0025])
    # the same as going on from that checkpoint at a quarter of the rate
    other = trainer(tmp_path / "other", optimizer="adam", lr=0.01, max_epoch=1.0)
    other.train()
    again = trainer(tmp_path / "other", optimizer="adam", lr=0.0025)
    again.restore(read_run(tmp_path / "other" / "checkpoint_last"))
    again.train()
    assert final(tmp_path) == final(tmp_path / "other")


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path):
    run, _ = poisoned(tmp_path, epoch=0, position=2, on_divergence="restore")
    with pytest.raises(DivergenceError):
        run.train()
    assert not os.path.lexists(tmp_path / "checkpoint_last")


def test_a_bad_validation_is_not_skipped_but_restored(tmp_path):
    for action, outcome in (("skip", None), ("restore", 12)):
        run = trainer(tmp_path / action, on_divergence=action)
        real, calls = run.parts.criterion, []

        def criterion(tiny, batch, real=real, calls=calls, run=run):
            output = real(tiny, batch)
            if not tiny.training and run.state.update == 12 and not calls:
                calls.append(1)
                return replace(output, nll_sum=torch.tensor(math.inf))
            return output

        run.gradients.loss.criterion = criterion
        if outcome is None:
            with pytest.raises(ValidationDivergenceError):
                run.train()
        else:
            run.train()
            assert (run.state.update, run.state.divergences) == (outcome, 1)


def test_a_batch_that_needs_too_much_memory_is_named(tmp_path):
    run, pair = poisoned(tmp_path)

    def hungry(tiny, batch):
        if batch.source.line_ids[0] == pair and tiny.training:
            torch.empty(1 << 60)
        return run_criterion(tiny, batch)

    run_criterion = run.parts.criterion
    run.gradients.loss.criterion = hungry
    with pytest.raises(BatchMemoryError, match=rf"out of memory \(pairs {pair + 1}, .* words\)"):
        run.train()


def test_weights_of_a_checkpoint_are_finite(tmp_path):
    run, _ = poisoned(tmp_path, on_divergence="skip")
    run.train()
    saved = load_tensors(tmp_path / "checkpoint_last" / "weights.safetensors")
    assert all(value.isfinite().all() for value in saved.values())


def spoiled(folder, after, what, value=math.inf, **options):
    """A run whose update number `after` leaves bad numbers, in weights or optimiser state."""
    run = trainer(folder, optimizer="adam", lr=0.01, **options)
    step, parameters = run.parts.optimizer.step, list(run.parts.model.parameters())

    def stepping():
        step()
        if run.state.update + 1 == after and run.state.rate_scale == 1:
            parameter = parameters[-1]
            bad = (
                parameter.data if what == "weights" else run.parts.optimizer.state[parameter][what]
            )
            bad.view(-1)[0] = value

    run.parts.optimizer.step = stepping
    return run


@pytest.mark.parametrize("what", ["weights", "exp_avg", "exp_avg_sq"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_numbers_that_are_not_finite_are_never_saved(tmp_path, what, value):
    """Update 8 spoils them, and is to be saved at once; update 6 was saved at the epoch's end."""
    run = spoiled(tmp_path, 8, what, value, save_interval_updates=8, valid=None)
    with pytest.raises(WeightsDivergenceError, match=r"update 8: .*not finite") as caught:
        run.train()
    for remedy in ("--lr", "--clip-norm", "--on-divergence"):
        assert remedy in str(caught.value)
    assert ("the optimizer's state" in str(caught.value)) == (what != "weights")
    assert os.readlink(tmp_path / "checkpoint_last") == "checkpoint_0000006"
    assert not [name for name in os.listdir(tmp_path) if "0000008" in name]
    again = trainer(tmp_path, optimizer="adam", lr=0.01)
    again.restore(read_run(tmp_path / "checkpoint_last"))
    again.train()
    verify(tmp_path / "checkpoint_last")


def test_the_last_save_is_checked_too_and_can_be_recovered_from(tmp_path):
    for action in ("stop", "skip"):
        run = spoiled(tmp_path / action, 12, "weights", on_divergence=action, valid=None)
        with pytest.raises(WeightsDivergenceError):
            run.train()
        assert os.readlink(tmp_path / action / "checkpoint_last") == "checkpoint_0000006"
    run = spoiled(tmp_path / "restore", 12, "weights", on_divergence="restore", valid=None)
    run.train()
    assert (run.state.update, run.state.divergences, run.state.rate_scale) == (12, 1, 0.5)
    verify(tmp_path / "restore" / "checkpoint_last")


def test_averages_of_weights_are_looked_at_as_well(tmp_path):
    run = spoiled(tmp_path, 8, "weights", save_interval_updates=8, ema_decay=0.9, valid=None)
    with pytest.raises(WeightsDivergenceError, match="update 8"):
        run.train()
    assert os.readlink(tmp_path / "checkpoint_last") == "checkpoint_0000006"


def test_no_command_writes_weights_that_are_not_finite(tmp_path):
    run = trainer(tmp_path)
    weights = run.parts.model.state_dict()
    next(iter(weights.values())).view(-1)[0] = math.nan
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: .*not finite"):
        write_model_files(tmp_path, run.parts.record, weights)
    assert list(tmp_path.iterdir()) == []
