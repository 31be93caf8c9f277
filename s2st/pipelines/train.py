"""The job of `s2st train`: from a store and resolved options to checkpoints."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s2st.components import CommandSpec, Resolved, Role
from s2st.config import config_values
from s2st.criteria.registry import CRITERIA
from s2st.data.batching import BatchingConfig
from s2st.device import DeviceConfig, setup_device
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES, with_default_sizes
from s2st.registry import loaded_plugins
from s2st.training.config import TrainerConfig
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.progress import Observer
from s2st.training.schedules import SCHEDULES

log = logging.getLogger("s2st")

TRAIN_SPEC = CommandSpec(
    fixed=(TrainerConfig, BatchingConfig, DeviceConfig),
    roles=(
        Role("arch", ARCHITECTURES, "lstm-reversed", "architecture or preset", ("-a",)),
        Role("criterion", CRITERIA, "cross_entropy", "what training minimises"),
        Role("optimizer", OPTIMIZERS, "adam", "how weights are updated"),
        Role("lr_scheduler", SCHEDULES, "plateau", "how the learning rate changes"),
    ),
)

# Sutskever et al. 2014, section 3.4
RECIPES: dict[str, dict[str, Any]] = {
    "sutskever2014": {
        "arch": "lstm-sutskever2014",
        "init": "uniform",
        "init_range": 0.08,
        "dropout": 0.0,
        "criterion": "cross_entropy",
        "optimizer": "sgd",
        "lr": 0.7,
        "momentum": 0.0,
        "lr_scheduler": "halve-after",
        "halve_after": 5.0,
        "halve_every": 0.5,
        "clip_norm": 5.0,
        "normalization": "sentences",
        "batch_size": 128,
        "batching": "bucketed",
        "max_epoch": 7.5,
        "patience": None,
    }
}

# Options that change the mathematics of a run: a resumed run must keep them.
_TRAINER_IDENTITY = ("update_freq", "clip_norm", "normalization", "seed")


@dataclass(frozen=True)
class TrainResult:
    """How a training ended."""

    update: int
    epochs: int
    best_nll: float | None
    best_update: int
    save_dir: str


def run_training(
    data: str, options: Resolved, observer: Observer, stop_signal: Callable[[], int]
) -> TrainResult:
    """Trains a model, or goes on where the run in the save folder stopped.

    Args:
        data: the store's folder.
        options: resolved from TRAIN_SPEC.
        observer: told of progress.
        stop_signal: number of a signal that asks to stop, else 0.

    Raises:
        S2STError: of every kind that data, options, checkpoints and outputs can cause.
    """
    import torch

    from s2st.data.store import Store
    from s2st.models.saved import ModelRecord, build_model
    from s2st.training.checkpoint import CheckpointFolder, RunIdentity, read_run
    from s2st.training.trainer import Trainer, TrainingParts

    trainer_config = options.config(TrainerConfig)
    device_config = options.config(DeviceConfig)
    device = setup_device(device_config)
    store = Store(data)
    training = store.split("train")
    validation = store.split("valid") if "valid" in store.splits else None
    if validation is None:
        log.warning("%s has no valid split: no early stopping, best is last", data)
    arch = options.entries["arch"]
    config = with_default_sizes(options.configs["arch"], len(training.target.ids))
    identity = RunIdentity(_identity(options, config), store.content_hash())
    folder = CheckpointFolder(trainer_config.save_dir, trainer_config.keep_last)
    last = folder.last
    resumed = None if last is None else read_run(last)
    if resumed is not None:
        _check_identity(resumed.identity, identity, str(last))
    record = ModelRecord(
        arch.base, config, store.source_vocabulary, store.target_vocabulary,
        store.source_tokenizer, store.target_tokenizer, loaded_plugins(),
    )  # fmt: skip
    torch.manual_seed(trainer_config.seed)
    model = build_model(record.architecture, config, record.sizes).to(device)
    parts = TrainingParts(
        record=record,
        model=model,
        criterion=options.entries["criterion"].build(options.configs["criterion"]),
        optimizer=options.entries["optimizer"].build(
            options.configs["optimizer"], model.parameters()
        ),
        schedule=options.entries["lr_scheduler"].build(options.configs["lr_scheduler"]),
        training=training,
        validation=validation,
        identity=identity,
    )
    trainer = Trainer(
        parts, trainer_config, options.config(BatchingConfig), device, device_config.precision,
        observer, stop_signal,
    )  # fmt: skip
    _log_start(data, options, config, model)
    if resumed is not None:
        trainer.restore(resumed)
        log.info("going on from %s", last)
    state = trainer.train()
    return TrainResult(
        state.update, state.epoch, state.best_nll, state.best_update, trainer_config.save_dir
    )


def _identity(options: Resolved, architecture_config: Any) -> dict[str, Any]:
    """The options that change the mathematics, as flat JSON values."""
    values: dict[str, Any] = {role: entry.base for role, entry in options.entries.items()}
    values.update(config_values(architecture_config))
    for role in ("criterion", "optimizer", "lr_scheduler"):
        values.update(config_values(options.configs[role]))
    values.update(config_values(options.config(BatchingConfig)))
    trainer = config_values(options.config(TrainerConfig))
    values.update({name: trainer[name] for name in _TRAINER_IDENTITY})
    values["precision"] = options.config(DeviceConfig).precision
    return values


def _check_identity(old: Any, new: Any, path: str) -> None:
    """Refuses to go on with other data or other mathematics."""
    changed = [
        f"--{name.replace('_', '-')} was {old.options.get(name)}, is {new.options.get(name)}"
        for name in sorted({*old.options, *new.options})
        if old.options.get(name) != new.options.get(name)
    ]
    if changed:
        raise UsageError(
            f"{path} was trained with other options ({'; '.join(changed)}); "
            "use them again, or another --save-dir"
        )
    if old.data != new.data:
        message = "was trained on other data (the store's checksum differs)"
        raise UsageError(f"{path} {message}; use another --save-dir")


def _log_start(data: str, options: Resolved, config: Any, model: Any) -> None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    sizes = ", ".join(f"{name} {value}" for name, value in config_values(config).items())
    log.info("data %s; save-dir %s", data, options.config(TrainerConfig).save_dir)
    log.info("architecture %s (%s)", options.entries["arch"].name, sizes)
    log.info("%s parameters", f"{parameters:,}")
