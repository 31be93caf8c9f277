"""The job of `s2st train`: train a model on a store, alone or on several ranks, and resume."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.criteria.registry import CRITERIA
from s2st.data.batch_planner import BatchingConfig
from s2st.errors import UsageError
from s2st.jobs.training_checks import check_memory, check_ranks
from s2st.jobs.training_records import open_records
from s2st.jobs.training_result import TrainResult
from s2st.jobs.training_resume_checks import (
    METRIC_ROLE,
    check_identity,
    identity_options,
    keep_hashes_of_missing_files,
    log_changes,
)
from s2st.jobs.validation_decoding import best_metric, make_decoder
from s2st.jobs.validation_metrics import METRICS
from s2st.models.registry import ARCHITECTURES, UNTRAINED, with_default_sizes
from s2st.options.option_fields import config_values, option_specs
from s2st.options.registry import loaded_plugins
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.device import DeviceConfig, environment, setup_device
from s2st.process.ranks import Ranks, RanksConfig, process_group, read_ranks
from s2st.text.tokenizers import absent_side
from s2st.text.vocabulary import Vocabulary
from s2st.training.lr_schedules import SCHEDULES
from s2st.training.observer import Observer
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.options import (
    EmbeddingsConfig,
    ParallelConfig,
    TrainerConfig,
    ValidationConfig,
)
from s2st.training.training_limits import with_time_limit

if TYPE_CHECKING:
    import torch

    from s2st.criteria.cross_entropy import Criterion
    from s2st.data.store import ParallelCorpus, Store
    from s2st.models.base import Seq2SeqModel
    from s2st.models.model_files import ModelRecord
    from s2st.training.checkpoint import RunIdentity
    from s2st.training.checkpoint_folder import CheckpointFolder
    from s2st.training.gradient_accumulation import Gradients
    from s2st.training.trainer import Trainer

log = logging.getLogger("s2st")

TRAIN_SPEC = CommandSpec(
    fixed=(
        TrainerConfig,
        ValidationConfig,
        BatchingConfig,
        EmbeddingsConfig,
        DeviceConfig,
        ParallelConfig,
        RanksConfig,
    ),
    roles=(
        Role("arch", ARCHITECTURES, "lstm-reversed", "architecture or preset", ("-a",), UNTRAINED),
        Role("criterion", CRITERIA, "cross_entropy", "what training minimizes"),
        Role("optimizer", OPTIMIZERS, "adam", "how weights are updated"),
        Role("lr_scheduler", SCHEDULES, "plateau", "how the learning rate changes"),
        Role(
            METRIC_ROLE,
            METRICS,
            "perplexity",
            "what decides which checkpoint is best, and patience",
        ),
    ),
)

RECIPES: dict[str, dict[str, Any]] = {
    # Sutskever et al. 2014, section 3.4
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
    },
    # Vaswani et al. 2017, sections 5.1 to 5.4; lr is the largest rate of their schedule
    "transformer-base": {
        "arch": "transformer-base",
        "criterion": "label_smoothed_cross_entropy",
        "label_smoothing": 0.1,
        "optimizer": "adam",
        "lr": (512 * 4000) ** -0.5,
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "adam_eps": 1e-9,
        "lr_scheduler": "inverse-sqrt",
        "warmup_updates": 4000,
        "clip_norm": 0.0,
        "normalization": "tokens",
        "batch_size": 25_000,
        "max_tokens": 25_000,
        "max_epoch": None,
        "max_update": 100_000,
        "patience": None,
    },
}


def run_training(
    data: str, options: Resolved, observer: Observer, stop_signal: Callable[[], int]
) -> TrainResult:
    """Train a model, or resume the run in the save folder.

    Args:
        data: folder of the store.
        options: resolved options of TRAIN_SPEC.
        observer: receives the progress.
        stop_signal: returns the number of the signal that asks to stop, else 0.

    Raises:
        S2STError: data, options, checkpoints or outputs cannot be used.
    """
    from s2st.training.checkpoint_folder import CheckpointFolder
    from s2st.training.save_folder_lock import hold_folder

    stop_signal = with_time_limit(stop_signal, options.config(TrainerConfig).max_time)
    job_ranks = read_ranks()
    check_ranks(job_ranks, options)
    job = _open(data, options)  # before the lock: a refused job must not leave a save folder
    save_dir = Path(options.config(TrainerConfig).save_dir)
    with contextlib.ExitStack() as stack:
        seconds = options.config(RanksConfig).rank_timeout
        stack.enter_context(process_group(job_ranks, job.device, seconds))
        held = stack.enter_context(hold_folder(save_dir)) if job_ranks.first else None
        folder = CheckpointFolder(save_dir, options.config(TrainerConfig).keep_last, held)
        shown = Observer()
        if held is not None:
            tensorboard = options.config(TrainerConfig).tensorboard
            shown = stack.enter_context(open_records(held, tensorboard, observer))
        result = _train(job, options, job_ranks, shown, stop_signal, folder)
        log.info("%s", result.describe())
        return result


@dataclass(frozen=True)
class _Job:
    """The checked inputs of a training.

    Attributes:
        config: options of the architecture, with all sizes.
    """

    device: "torch.device"
    store: "Store"
    training: "ParallelCorpus"
    validation: "ParallelCorpus | None"
    config: Any
    identity: "RunIdentity"


def _open(data: str, options: Resolved) -> _Job:
    from s2st.data.store import Store
    from s2st.training.checkpoint import RunIdentity
    from s2st.training.pretrained_embeddings import check_files, with_vector_size
    from s2st.training.tensorboard_events import require_tensorboard

    device = setup_device(options.config(DeviceConfig))
    store = Store(data)
    store.verify()  # only here: resuming compares nothing but the store's hash
    arch = options.configs["arch"]
    training = _as_read(store.split("train"), arch)
    validation = _as_read(store.split("valid"), arch) if "valid" in store.splits else None
    if validation is None:
        log.warning(
            "%s has no valid split: no early stopping, and checkpoint_best is the last", data
        )
    check_files(options.config(EmbeddingsConfig))
    if options.config(TrainerConfig).tensorboard:
        require_tensorboard()
    config = with_vector_size(options.configs["arch"], options.config(EmbeddingsConfig))
    config = with_default_sizes(config, len(training.target.ids))
    _check_model(options, config, store, device)
    mathematics, other = identity_options(options, config)
    identity = RunIdentity(mathematics, store.content_hash(), other, environment(device))
    return _Job(device, store, training, validation, config, identity)


def _as_read(corpus: "ParallelCorpus", arch: Any) -> "ParallelCorpus":
    """Return a split as the architecture reads it: without source, or with reversed targets."""
    if not getattr(arch, "reads_source", True):
        corpus = corpus.with_absent_source()
    return corpus.with_targets_reversed() if getattr(arch, "reverse_target", False) else corpus


def _check_model(options: Resolved, config: Any, store: "Store", device: "torch.device") -> None:
    """Refuse incompatible components before memory is allocated, by a model without memory."""
    from s2st.models.model_files import planned_model

    name = options.entries["arch"].base
    model = planned_model(name, config, _record(name, config, store).sizes)
    check_memory(model, device)
    criterion = options.entries["criterion"].build(options.configs["criterion"])
    criterion.check(model)
    split = options.config(ParallelConfig)
    if split.split:
        from s2st.training.pipeline_parallel import check_division

        stages = split.pipeline_stages
        check_division(model, criterion, stages, stages * split.vocabulary_parts)


def _record(name: str, config: Any, store: "Store") -> "ModelRecord":
    """Return the record of a model for the store's vocabularies.

    Raises:
        UsageError: the sides are to share embeddings, but their vocabularies differ.
    """
    from s2st.models.model_files import ModelRecord

    words, tokenizer = store.source_vocabulary, store.source_tokenizer
    if not getattr(config, "reads_source", True):
        words, tokenizer = Vocabulary([], []), absent_side()
    elif getattr(config, "tie_embeddings", "none") == "all" and words != store.target_vocabulary:
        raise UsageError(
            f"--tie-embeddings all: {store.folder} has separate vocabularies; run `s2st preprocess "
            "--joined-dictionary`"
        )
    return ModelRecord(
        name, config, words, store.target_vocabulary, tokenizer, store.target_tokenizer,
        loaded_plugins(),
    )  # fmt: skip


def _train(
    job: _Job, options: Resolved, ranks: Ranks, observer: Observer, stop_signal: Callable[[], int],
    folder: "CheckpointFolder",
) -> TrainResult:  # fmt: skip
    import torch

    from s2st.models.model_files import build_model
    from s2st.training.trainer import Trainer, TrainingParts

    trainer_config = options.config(TrainerConfig)
    arch, config, store = options.entries["arch"], job.config, job.store
    resumed = folder.resume() if ranks.first else None
    identity = job.identity
    if resumed is not None:
        identity = keep_hashes_of_missing_files(resumed.identity, identity, options)
        check_identity(resumed.identity, identity, options, str(resumed.saved.folder))
    record = _record(arch.base, config, store)
    torch.manual_seed(trainer_config.seed)
    model = build_model(record.architecture, config, record.sizes)
    _set_embeddings(model, job, options, ranks, fresh=resumed is None)
    _log_start(str(store.folder), options, config, model)
    criterion = options.entries["criterion"].build(options.configs["criterion"])
    gradients, optimizer = _gradients(model, criterion, job.device, ranks, options)
    parts = TrainingParts(
        record=record,
        model=model,
        criterion=criterion,
        optimizer=optimizer,
        schedule=options.entries["lr_scheduler"].build(options.configs["lr_scheduler"]),
        training=job.training,
        validation=job.validation,
        identity=identity,
        decoder=make_decoder(options, store, record, job.device),
        best_metric=best_metric(options),
    )
    trainer = Trainer(
        parts, trainer_config, options.config(BatchingConfig), gradients, observer, stop_signal,
        folder,
    )  # fmt: skip
    trainer.restore(resumed)
    if resumed is not None:
        log.info("resuming from %s", resumed.saved.folder)
        log_changes(resumed.identity, identity)
    before = trainer.state.update
    state = trainer.train()
    _log_costs(trainer, state.update - before, ranks)
    value = state.best_value
    return TrainResult(
        state.update, state.epoch, state.best_nll, state.best_update, trainer_config.save_dir,
        getattr(config, "reads_source", True), trainer.ended, trainer.stopped_early,
        None if value is None else (parts.best_metric.name, value),
    )  # fmt: skip


def _log_costs(trainer: "Trainer", updates: int, ranks: Ranks) -> None:
    """Log the time of saving and the bytes that each rank sent per update."""
    share = trainer.seconds_saving / max(1e-9, trainer.seconds)
    log.info(
        "saving took %.1f s of %.0f s (%.1f %%)",
        trainer.seconds_saving, trainer.seconds, 100 * share,
    )  # fmt: skip
    sent = trainer.gradients.bytes_exchanged // max(1, updates)
    if updates and sent:
        log.info("each of %d processes sent %s bytes per update", ranks.size, f"{sent:,}")


def _set_embeddings(
    model: "Seq2SeqModel", job: _Job, options: Resolved, ranks: Ranks, fresh: bool
) -> None:
    """Freeze tables, and set initial embeddings from files of word vectors.

    Only rank 0 reads the files, since the others receive its weights. With pipeline stages every
    rank reads them.
    """
    from s2st.training.pretrained_embeddings import begin_with_vectors, freeze_tables

    files = options.config(EmbeddingsConfig)
    freeze_tables(model, files)
    if files.paths() and fresh and (ranks.first or options.config(ParallelConfig).split):
        store = job.store
        sides = {"source": store.source_vocabulary, "target": store.target_vocabulary}
        begin_with_vectors(model, sides, files, job.config)


def _gradients(
    model: "Seq2SeqModel", criterion: "Criterion", device: "torch.device", ranks: Ranks,
    options: Resolved,
) -> "tuple[Gradients, torch.optim.Optimizer]":  # fmt: skip
    """Build the gradient computation of this rank, and the optimizer of its parameters."""
    import torch

    from s2st.training.gradient_accumulation import Gradients, Loss
    from s2st.training.sparse_embeddings import set_sparse_tables

    def build_optimizer(part: "torch.nn.Module" = model) -> "torch.optim.Optimizer":
        config, entry = options.configs["optimizer"], options.entries["optimizer"]
        optimizer: torch.optim.Optimizer = entry.build(config, part.parameters())
        return optimizer

    config = options.config(ParallelConfig)
    precision = options.config(DeviceConfig).precision
    if config.split:
        from s2st.training.pipeline_parallel import StagedGradients
        from s2st.training.pipeline_schedule import make_rank_grid

        seconds = options.config(RanksConfig).rank_timeout
        grid = make_rank_grid(config.pipeline_stages, config.vocabulary_parts, device, seconds)
        loss = Loss(model, criterion, device, precision)
        staged = StagedGradients(loss, device, precision, ranks, grid, config.micro_batches)
        optimizer = build_optimizer(staged.model)
        set_sparse_tables(staged.model, getattr(optimizer, "sparse_tables", False))
        return staged, optimizer
    loss = Loss(model.to(device), criterion, device, precision)
    if ranks.size > 1 and config.shard_parameters:
        from s2st.training.data_parallel import ShardedDataParallel

        if options.entries["optimizer"].base == "lazy-adam":
            raise UsageError("--optimizer lazy-adam cannot be used with --shard-parameters")
        sharded = ShardedDataParallel(loss, device, ranks)
        optimizer = build_optimizer()  # after sharding: it has the shards' state
        if isinstance(optimizer, torch.optim.SGD):  # torch's fused SGD does not support shards
            optimizer.param_groups[0]["fused"] = False
        return sharded, optimizer
    optimizer = build_optimizer()
    set_sparse_tables(model, getattr(optimizer, "sparse_tables", False))
    if ranks.size == 1:
        return Gradients(loss, device), optimizer
    from s2st.training.data_parallel import DataParallel

    return DataParallel(loss, device, ranks, config.gradient_compression), optimizer


def _log_start(data: str, options: Resolved, config: Any, model: Any) -> None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    defaults = {spec.name: spec.default for spec in option_specs(type(config))}
    values = config_values(config).items()
    changed = {name: value for name, value in values if getattr(config, name) != defaults[name]}
    sizes = ", ".join(f"{name} {value}" for name, value in changed.items())
    log.info("data %s; save-dir %s", data, options.config(TrainerConfig).save_dir)
    log.info("architecture %s (%s)", options.entries["arch"].name, sizes)
    log.info("%s parameters", f"{parameters:,}")
    log.info("ppl: perplexity per target token, including the end of each sentence")
