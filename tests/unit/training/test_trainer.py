"""The trainer: normalization, clipping, accumulation, ends, checkpoints, resuming."""

import json
import math
import os

import pytest
import torch
from tampering import reseal
from trainers import CPU, STILL, TRAIN, VALID, trainer

from s2st.data.batch_loader import TrainingLoader, load_batch
from s2st.errors import CheckpointError, InterruptedBySignalError
from s2st.models.model_files import read_saved
from s2st.models.weight_files import load_tensors
from s2st.training.checkpoint import OPTIMIZER, read_run
from s2st.training.checkpoint_folder import CheckpointFolder


def weights(run):
    return {name: p.detach().clone() for name, p in run.parts.model.named_parameters()}


def gradient_of(run, batch, divisor):
    """The gradient of sum / divisor by autograd alone, and what the run's model holds now."""
    run.parts.model.zero_grad()
    (run.parts.criterion(run.parts.model, batch).loss_sum / divisor).backward()
    return {n: p.grad.clone() for n, p in run.parts.model.named_parameters()}


def first_batch(run):
    plan = TrainingLoader(TRAIN, run.batching, run.config.seed).plan(0)
    return load_batch(TRAIN, plan[0])


def assert_step(before, after, gradient, rate):
    for name, old in before.items():
        torch.testing.assert_close(after[name], old - rate * gradient[name], rtol=0, atol=1e-12)


# one update


@pytest.mark.parametrize("normalization", ["sentences", "tokens"])
def test_the_gradient_is_the_sum_over_sentences_or_tokens(tmp_path, normalization):
    run = trainer(
        tmp_path, config=STILL, dtype=torch.float64, max_update=1, normalization=normalization
    )
    batch = first_batch(run)
    divisor = len(batch) if normalization == "sentences" else int(batch.target_lengths.sum())
    assert divisor in ((4,) if normalization == "sentences" else range(5, 25))
    gradient, before = gradient_of(run, batch, divisor), weights(run)
    run.train()
    assert_step(before, weights(run), gradient, 0.1)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clipping_scales_the_whole_gradient_to_the_limit(tmp_path, limit):
    """The paper: with s = ||g||, if s > 5 then g <- 5 g / s."""
    run = trainer(tmp_path, config=STILL, dtype=torch.float64, max_update=1, clip_norm=limit)
    gradient, before = gradient_of(run, first_batch(run), 4), weights(run)
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))
    assert norm > 0.5
    scale = min(1.0, limit / norm)
    run.train()
    after = weights(run)
    for name, old in before.items():
        expected = old - 0.1 * scale * gradient[name]
        torch.testing.assert_close(after[name], expected, rtol=0, atol=1e-6)
    moved = math.sqrt(sum(float(((after[n] - old) ** 2).sum()) for n, old in before.items()))
    assert moved == pytest.approx(0.1 * min(limit, norm), rel=1e-4)
    assert run.observer.updates[0].gradient_norm == pytest.approx(norm)


@pytest.mark.parametrize("normalization", ["sentences", "tokens"])
def test_two_half_batches_equal_one_whole(tmp_path, normalization):
    """Batches of 2 in the order of the plan, two an update, against both given as one batch."""
    run = trainer(
        tmp_path, config=STILL, dtype=torch.float64, batch_size=2, update_freq=2, max_update=1,
        normalization=normalization,
    )  # fmt: skip
    plan = TrainingLoader(TRAIN, run.batching, 1, batches_per_update=2).plan(0)
    whole = load_batch(TRAIN, [*plan[0], *plan[1]])
    divisor = 4 if normalization == "sentences" else whole.target_tokens
    assert len(whole) == 4
    gradient, before = gradient_of(run, whole, divisor), weights(run)
    state = run.train()
    assert_step(before, weights(run), gradient, 0.1)
    assert (state.update, state.position) == (1, 2)


def test_an_odd_last_group_of_batches_is_normalised_by_its_own_size(tmp_path):
    run = trainer(
        tmp_path, config=STILL, dtype=torch.float64, batch_size=8, update_freq=2, max_epoch=1.0
    )
    plan = TrainingLoader(TRAIN, run.batching, 1, batches_per_update=2).plan(0)
    assert len(plan) == 3
    twin = trainer(tmp_path, config=STILL, dtype=torch.float64)
    for group in ([*plan[0], *plan[1]], list(plan[2])):
        gradient = gradient_of(twin, load_batch(TRAIN, group), len(group))
        with torch.no_grad():
            for name, parameter in twin.parts.model.named_parameters():
                parameter -= 0.1 * gradient[name]
    assert run.train().update == 2
    for name, value in weights(run).items():
        torch.testing.assert_close(value, weights(twin)[name], rtol=0, atol=1e-12)


# ends


@pytest.mark.parametrize(
    ("options", "updates"),
    [
        ({"max_epoch": 2.0}, 12),  # 22 pairs in batches of 4: 6 updates an epoch
        ({"max_epoch": 1.5}, 9),
        ({"max_epoch": None, "max_update": 7}, 7),
        ({"max_epoch": 1.0, "max_update": 7}, 6),
        ({"max_epoch": 2.5, "update_freq": 4}, 5),  # 2 updates an epoch of 6 batches
    ],
    ids=str,
)
def test_training_ends_where_asked(tmp_path, options, updates):
    run = trainer(tmp_path, **options)
    assert run.train().update == updates
    assert read_run(tmp_path / "checkpoint_last").state.update == updates
    assert run.state.history[-1]["update"] == updates


def test_patience_counts_validations_that_are_no_better(tmp_path):
    """A learning rate of zero never gets better: the first is the best, then 3 bad ones."""
    run = trainer(tmp_path, lr=0.0, max_epoch=50.0, patience=3)
    state = run.train()
    assert (state.epoch, state.update, state.best_update) == (4, 24, 6)
    assert [report.best for report in run.observer.validations] == [True, False, False, False]
    assert os.readlink(tmp_path / "checkpoint_best") == "checkpoint_0000006"
    assert os.readlink(tmp_path / "checkpoint_last") == "checkpoint_0000024"


def test_validation_loss_is_nats_a_token_of_the_whole_split(tmp_path):
    run = trainer(tmp_path, config=STILL, max_epoch=1.0, batch_size=2)
    run.train()
    whole = load_batch(VALID, range(5))
    output = run.parts.criterion(run.parts.model.eval(), whole)
    expected = float(output.nll_sum.detach()) / whole.target_tokens
    assert run.observer.validations[-1].nll == pytest.approx(expected, rel=1e-5)
    assert run.state.best_nll == run.observer.validations[-1].nll


def test_intervals_within_an_epoch(tmp_path):
    run = trainer(
        tmp_path, max_epoch=1.0, validate_interval_updates=4, save_interval_updates=3, keep_last=9
    )
    state = run.train()
    assert [entry["update"] for entry in state.history] == [4, 6]
    assert run.observer.saved_names == [f"checkpoint_000000{u}" for u in (3, 4, 6)]


def test_a_validation_after_an_interval_save_of_the_same_update_is_saved_too(tmp_path):
    run = trainer(tmp_path, max_epoch=None, max_update=4, save_interval_updates=2)
    state = run.train()
    assert state.best_update == 4
    kept = read_run(tmp_path / "checkpoint_last").state
    assert [entry["update"] for entry in kept.history] == [4]
    assert kept.best_nll == state.best_nll
    assert os.readlink(tmp_path / "checkpoint_best") == "checkpoint_0000004"


# checkpoints


def test_the_last_few_and_the_best_are_kept(tmp_path):
    run = trainer(tmp_path, lr=0.0, max_epoch=5.0, keep_last=2)
    run.train()
    names = sorted(path.name for path in tmp_path.iterdir())
    kept = [f"checkpoint_{u:07d}" for u in (6, 24, 30)]
    assert names == [*kept, "checkpoint_best", "checkpoint_last"]
    assert os.readlink(tmp_path / "checkpoint_best") == kept[0]
    assert os.readlink(tmp_path / "checkpoint_last") == kept[-1]


def test_the_best_link_moves_with_a_better_validation(tmp_path):
    run = trainer(tmp_path, config=STILL, lr=0.05, max_epoch=3.0)
    state = run.train()
    losses = {entry["update"]: entry["nll"] for entry in state.history}
    assert state.best_update == min(losses, key=losses.get)
    assert os.readlink(tmp_path / "checkpoint_best") == f"checkpoint_{state.best_update:07d}"
    assert read_run(tmp_path / "checkpoint_best").state.update == state.best_update


def test_without_validation_the_last_is_the_best(tmp_path):
    run = trainer(tmp_path, valid=None, max_epoch=2.0)
    state = run.train()
    assert state.best_update == 12
    assert state.best_nll is None
    assert os.readlink(tmp_path / "checkpoint_best") == "checkpoint_0000012"


def test_a_checkpoint_holds_the_models_very_weights(tmp_path):
    run = trainer(tmp_path, optimizer="adam", lr=0.01)
    run.train()
    loaded = read_saved(tmp_path / "checkpoint_last").load(CPU).state_dict()
    for name, value in run.parts.model.state_dict().items():
        assert torch.equal(loaded[name], value)


@pytest.mark.parametrize("name", ["weights.safetensors", OPTIMIZER, "dict.en.txt"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, name, damage):
    trainer(tmp_path, max_epoch=1.0, optimizer="adam").train()
    path = tmp_path / "checkpoint_last" / name
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(bytes(data[:-1]))
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=name.rpartition("/")[2]) as caught:
        read_saved(tmp_path / "checkpoint_last")
    assert "\n" not in str(caught.value)


def test_a_release_cannot_be_resumed(tmp_path):
    trainer(tmp_path, max_epoch=1.0).train()
    folder = tmp_path / "checkpoint_last"
    names = ["training/optimizer.safetensors", "training/state.json"]
    for name in names:
        (folder / name).unlink()
    reseal(folder, lambda manifest: [manifest["files"].pop(name) for name in names])
    assert read_saved(folder).load(CPU) is not None
    with pytest.raises(CheckpointError, match="has no training state"):
        read_run(folder)


def test_leftovers_of_a_killed_save_are_swept(tmp_path):
    (tmp_path / ".checkpoint_0000003.tmp-1" / "training").mkdir(parents=True)
    CheckpointFolder(tmp_path, 2).prepare()
    assert list(tmp_path.iterdir()) == []


# interruption


SETTINGS = {
    "adam": {"optimizer": "adam", "lr": 0.02, "schedule": "plateau"},
    "too fast": {
        "optimizer": "adam", "lr": 1.0, "schedule": "plateau", "validate_interval_updates": 2,
    },
    "sgd": {"optimizer": "sgd", "lr": 0.5, "schedule": "halve-after", "clip_norm": 1.0},
    "lazy-adam": {"optimizer": "lazy-adam", "lr": 0.02, "clip_norm": 1.0},
    "often": {
        "optimizer": "adamw", "lr": 0.02, "schedule": "plateau", "validate_interval_updates": 4,
        "save_interval_updates": 3, "update_freq": 2, "batch_size": 2,
    },
    "to an update": {"optimizer": "adam", "max_epoch": None, "max_update": 16},
}  # fmt: skip


def outcome(folder):
    """Everything that a run leaves: weights, optimiser, state, by the last checkpoint."""
    run = read_run(folder / "checkpoint_last")
    state = json.loads((folder / "checkpoint_last" / "training" / "state.json").read_bytes())
    tensors = load_tensors(folder / "checkpoint_last" / "weights.safetensors")
    optimizer = load_tensors(folder / "checkpoint_last" / OPTIMIZER)
    links = [os.readlink(folder / f"checkpoint_{name}") for name in ("last", "best")]
    return tensors, optimizer, state, links, run.saved.summary["history"]


def assert_same_outcome(left, right):
    for mine, its in zip(left[:2], right[:2], strict=True):
        assert mine.keys() == its.keys()
        for name, value in mine.items():
            assert torch.equal(value, its[name]), name
    assert left[2:] == right[2:]


def stopped_and_resumed(folder, stops, **options):
    """Stops a run after each of these updates by SIGTERM and goes on with a fresh trainer."""
    for stop in [*stops, None]:
        run = trainer(folder, **options)
        run.stop_signal = lambda run=run, stop=stop: 15 if run.state.update == stop else 0
        last = folder / "checkpoint_last"
        if last.exists():
            with torch.no_grad():  # nothing may be left of fresh weights
                for parameter in run.parts.model.parameters():
                    parameter.fill_(7.0)
            run.restore(read_run(last))
        if stop is None:
            run.train()
        else:
            with pytest.raises(InterruptedBySignalError, match=f"update {stop}") as caught:
                run.train()
            assert caught.value.exit_code == 143
            assert read_run(folder / "checkpoint_last").state.update == stop


@pytest.fixture(scope="module", params=SETTINGS)
def straight(request, tmp_path_factory):
    """Options, and what a run with them that nobody stops leaves."""
    options = {"max_epoch": 3.0, "lr": 0.1} | SETTINGS[request.param]
    folder = tmp_path_factory.mktemp("straight")
    trainer(folder, **options).train()
    return options, outcome(folder)


@pytest.mark.slow
@pytest.mark.parametrize("stops", [[1], [4], [6], [2, 3, 6, 9], [16]], ids=str)
def test_a_run_stopped_and_resumed_ends_as_the_straight_one(tmp_path, straight, stops):
    """Bit for bit: weights, optimiser tensors, history and links; with dropout.

    6 updates an epoch: the stops fall at the start, on validations and saves, on the end of an
    epoch, several times, and on the last update.
    """
    options, expected = straight
    stopped_and_resumed(tmp_path, stops, **options)
    assert_same_outcome(outcome(tmp_path), expected)


def test_the_rate_of_the_too_fast_run_was_lowered_before_its_last_stop(straight):
    """Else the runs above would not show that the schedule's state is restored."""
    options, (_, _, state, _, history) = straight
    if options["lr"] != 1.0:
        pytest.skip("learns well")
    assert history[-1]["learning_rate"] < 1
    assert state["state"]["schedule"]["scale"] < 1


def test_runs_with_one_seed_agree_and_with_another_differ(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(tmp_path / name, max_epoch=1.0, seed=seed).train()
    assert_same_outcome(outcome(tmp_path / "a"), outcome(tmp_path / "b"))
    first, other = outcome(tmp_path / "a")[0], outcome(tmp_path / "c")[0]
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_going_on_to_a_later_end_equals_a_straight_run(tmp_path):
    """Epoch ends are validated either way, so that only the end differs."""
    trainer(tmp_path / "straight", max_epoch=3.0, optimizer="adam", lr=0.01).train()
    trainer(tmp_path / "two", max_epoch=1.0, optimizer="adam", lr=0.01).train()
    longer = trainer(tmp_path / "two", max_epoch=3.0, optimizer="adam", lr=0.01)
    longer.restore(read_run(tmp_path / "two" / "checkpoint_last"))
    longer.train()
    assert_same_outcome(outcome(tmp_path / "two"), outcome(tmp_path / "straight"))


def test_a_finished_run_resumed_changes_nothing(tmp_path):
    trainer(tmp_path, max_epoch=1.5).train()
    before = outcome(tmp_path)
    again = trainer(tmp_path, max_epoch=1.5)
    again.restore(read_run(tmp_path / "checkpoint_last"))
    again.train()
    assert_same_outcome(outcome(tmp_path), before)
    assert again.observer.saved_names == []
