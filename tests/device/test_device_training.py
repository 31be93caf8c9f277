"""Training on a device: every architecture, criterion and optimizer gives the CPU's results."""

import pytest
import torch
from trainers import trainer
from walk import combinations, pairs

from s2st.errors import UsageError

UPDATES = {"max_epoch": 9.0, "max_update": 3, "clip_norm": 1.0, "ema_decay": 0.5, "update_freq": 2}


def trained(folder, name, config, device, **options):
    """A trainer after its updates, in double precision."""
    made = trainer(
        folder, architecture=name, config=config, device=device, dtype=torch.float64, lr=0.01,
        training=pairs(name, config), valid=pairs(name, config, 5, 7), **{**UPDATES, **options},
    )  # fmt: skip
    try:
        made.parts.criterion.check(made.parts.model)
    except UsageError as error:
        pytest.skip(f"the criterion refuses the model: {error}")
    return made


def assert_same(device, cpu):
    """Losses and weights of both trainers agree."""
    for mine, its in zip(device.observer.updates, cpu.observer.updates, strict=True):
        assert mine.loss == pytest.approx(its.loss, rel=1e-9)
    for mine, its in zip(device.observer.validations, cpu.observer.validations, strict=True):
        assert mine.nll == pytest.approx(its.nll, rel=1e-9)
    weights = cpu.parts.model.state_dict()
    for key, value in device.parts.model.state_dict().items():
        torch.testing.assert_close(value.cpu(), weights[key], rtol=1e-7, atol=1e-9, msg=key)


@pytest.mark.parametrize(("name", "config", "criterion", "optimizer"), combinations())
def test_updates_are_those_of_the_cpu(sim, tmp_path, name, config, criterion, optimizer):
    both = []
    for device in (sim, torch.device("cpu")):
        options = {"criterion": criterion, "optimizer": optimizer}
        both.append(trained(tmp_path / device.type, name, config, device, **options))
        both[-1].train()
    assert all(p.device.type == "sim" for p in both[0].parts.model.parameters())
    assert_same(*both)
