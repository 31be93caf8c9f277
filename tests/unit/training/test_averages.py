"""The moving average of the weights: the formula, validation, checkpoints, exact resume."""

import numpy as np
import pytest
import torch
from trainers import CONFIG, CPU, VALID, trainer

from s2st.data.batch_loader import load_batch
from s2st.errors import CheckpointError, InterruptedBySignalError
from s2st.models.model_files import read_saved
from s2st.models.weight_files import load_tensors
from s2st.training.checkpoint import OPTIMIZER, read_run
from s2st.training.moving_average import WeightAverages

DECAY = 0.35  # above the warm-up's until update 4: (1 + 4) / (10 + 4) = 0.357
OPTIMIZERS = ["sgd", "adam", "lazy-adam"]
EVERY = {"save_interval_updates": 1, "keep_last": 99, "max_update": 7, "max_epoch": None}


def raw_names(run):
    return {f"{i}.raw": name for i, (name, _) in enumerate(run.parts.model.named_parameters())}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_is_the_formula_over_the_weights_of_a_run_without_it(tmp_path, optimizer):
    plain = trainer(tmp_path / "plain", optimizer=optimizer, valid=None, **EVERY)
    expected = {n: p.detach().double().numpy() for n, p in plain.parts.model.named_parameters()}
    plain.train()
    run = trainer(tmp_path / "run", optimizer=optimizer, valid=None, ema_decay=DECAY, **EVERY)
    run.train()
    names = raw_names(run)
    for update in range(1, 8):
        folders = [tmp_path / k / f"checkpoint_{update:07d}" for k in ("plain", "run")]
        raw, found = (load_tensors(folder / "weights.safetensors") for folder in folders)
        decay = [2 / 11, 3 / 12, 4 / 13, 0.35, 0.35, 0.35, 0.35][update - 1]
        kept = load_tensors(folders[1] / OPTIMIZER)
        for key, name in names.items():
            expected[name] = decay * expected[name] + (1 - decay) * raw[name].double().numpy()
            np.testing.assert_allclose(found[name].numpy(), expected[name], rtol=0, atol=1e-6)
            assert torch.equal(kept[key], raw[name])
            assert not torch.equal(found[name], raw[name])


def loss_of(run, folder):
    """Nats a target token of the validation split, by the criterion over one batch."""
    weights = read_saved(folder).load(CPU)
    weights.eval()
    batch = load_batch(VALID, np.arange(len(VALID)))
    with torch.no_grad():
        output = run.parts.criterion(weights, batch)
    return float(output.nll_sum) / output.token_count


def test_validation_is_of_the_averages_and_so_is_what_is_translated_with(tmp_path):
    plain, run = (
        trainer(tmp_path / name, lr=1.0, max_update=3, ema_decay=decay)
        for name, decay in (("a", 0.0), ("b", 0.8))
    )
    losses = [r.train().history[-1]["nll"] for r in (plain, run)]
    for kind, this, loss in zip("ab", (plain, run), losses, strict=True):
        assert loss == pytest.approx(loss_of(this, tmp_path / kind / "checkpoint_last"), rel=1e-5)
    assert abs(losses[0] - losses[1]) > 0.01


def test_the_parameters_are_the_weights_again_after_validation_and_saving(tmp_path):
    plain = trainer(tmp_path / "a", max_update=3)
    run = trainer(tmp_path / "b", max_update=3, ema_decay=0.9)
    plain.train()
    run.train()
    parts = zip(plain.parts.model.parameters(), run.parts.model.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in parts)
    assert not any("raw" in state for state in run.parts.optimizer.state.values())


def files(folder):
    names = ("weights.safetensors", OPTIMIZER)
    return [(folder / "checkpoint_last" / name).read_bytes() for name in names]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_stopped_twice_ends_bitwise_as_the_straight_one(tmp_path, optimizer):
    options = {"optimizer": optimizer, "ema_decay": DECAY, "schedule": "plateau"}
    straight = trainer(tmp_path / "straight", **options)
    state = straight.train()
    for stop in (2, 7, None):
        looks = []

        def asked(stop=stop, looks=looks):
            looks.append(1)
            return 15 if len(looks) == stop else 0

        run = trainer(tmp_path / "run", stop=asked, **options)
        run.restore(read_run(tmp_path / "run" / "checkpoint_last") if stop != 2 else None)
        if stop:
            with pytest.raises(InterruptedBySignalError):
                run.train()
            assert 0 < run.state.update < state.update
        else:
            assert run.train().history == state.history
    assert files(tmp_path / "run") == files(tmp_path / "straight")


def test_after_a_divergence_both_go_back_to_the_last_checkpoint(tmp_path):
    """The weights are spoiled after the third update; training goes on from what it saved."""
    run = trainer(
        tmp_path, ema_decay=DECAY, valid=None, max_update=3, max_epoch=None, on_divergence="restore"
    )
    run.train()
    before = [p.clone() for p in run.parts.model.parameters()]
    with torch.no_grad():
        for parameter in run.parts.model.parameters():
            parameter.fill_(float("nan"))
    run.config = trainer(tmp_path / "x", max_update=4, on_divergence="restore").config
    seen = []
    run.parts.optimizer.register_step_pre_hook(
        lambda *_: seen.append([p.clone() for p in run.parts.model.parameters()])
    )
    run.train()
    assert run.state.divergences == 1
    assert all(torch.equal(a, b) for a, b in zip(before, seen[0], strict=True))


def test_frozen_parameters_have_no_average():
    layer = torch.nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    averages = WeightAverages(optimizer, 0.5)
    with averages.in_place():
        assert [list(state) for state in optimizer.state_dict()["state"].values()] == [["raw"]]


def test_a_failure_while_they_are_in_place_leaves_the_weights(tmp_path):
    run = trainer(tmp_path, config=CONFIG, max_update=2, ema_decay=0.9)
    run.train()
    parameters = list(run.parts.model.parameters())
    before = [p.clone() for p in parameters]

    def failing():
        with run._averages.in_place():
            assert not torch.equal(before[0], parameters[0])
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))


def test_a_checkpoint_without_averages_cannot_go_on_with_them(tmp_path):
    trainer(tmp_path, max_update=2).train()
    run = trainer(tmp_path, max_update=4, ema_decay=0.9)
    with pytest.raises(CheckpointError, match="beside the averages"):
        run.restore(read_run(tmp_path / "checkpoint_last"))
