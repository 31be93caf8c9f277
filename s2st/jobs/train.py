"""The job of `s2st train`: train a model on a store, alone or on several ranks, and resume."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.criteria.registry import CRITERIA
from s2st.data.batch_planner import AUTO, BatchingConfig
from s2st.data.corpus_mixing import MixingConfig
from s2st.data.subword_sampling import SubwordSamplingConfig
from s2st.errors import UsageError
from s2st.jobs import finetune
from s2st.jobs.automatic_options import chosen_values, replaced, with_choices
from s2st.jobs.training_advice import better_choice
from s2st.jobs.training_checks import check_decoders, check_ranks
from s2st.jobs.training_data import (
    as_model_reads,
    log_mixture,
    open_training,
    open_validation,
)
from s2st.jobs.training_model import checked_criterion, model_record, set_embeddings, set_weights
from s2st.jobs.training_records import log_costs, open_records
from s2st.jobs.training_result import TrainResult
from s2st.jobs.training_resume_checks import (
    METRIC_ROLE,
    check_identity,
    identity_options,
    keep_hashes_of_missing_files,
    log_changes,
)
from s2st.jobs.validation_decoding import plan_validation
from s2st.jobs.validation_metrics import METRICS
from s2st.models.configs import with_default_sizes
from s2st.models.registry import ARCHITECTURES, UNTRAINED
from s2st.options.option_fields import config_values, option_specs
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.device import DeviceConfig, environment, setup_device
from s2st.process.ranks import Ranks, RanksConfig, process_group, read_ranks
from s2st.training.lr_schedules import SCHEDULES
from s2st.training.observer import Observer
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.options import (
    DryRunConfig,
    EmbeddingsConfig,
    FinetuneConfig,
    LanguagesConfig,
    ParallelConfig,
    TrainerConfig,
    ValidationConfig,
)
from s2st.training.training_limits import with_time_limit

if TYPE_CHECKING:
    import torch

    from s2st.criteria.cross_entropy import Criterion
    from s2st.data.corpora import CorpusSet
    from s2st.data.store import Store
    from s2st.jobs.training_dry_run import Rehearsal
    from s2st.models.base import Seq2SeqModel
    from s2st.models.model_record import ModelRecord
    from s2st.training.checkpoint import RunIdentity
    from s2st.training.checkpoint_folder import CheckpointFolder
    from s2st.training.gradient_accumulation import Gradients
    from s2st.training.trainer import Trainer
    from s2st.training.validation import BestMetric, ValidationDecoder

log = logging.getLogger("s2st")

TRAIN_SPEC = CommandSpec(
    fixed=(
        TrainerConfig,
        ValidationConfig,
        BatchingConfig,
        MixingConfig,
        LanguagesConfig,
        SubwordSamplingConfig,
        EmbeddingsConfig,
        FinetuneConfig,
        DeviceConfig,
        ParallelConfig,
        RanksConfig,
        DryRunConfig,
    ),
    roles=(
        Role("arch", ARCHITECTURES, "lstm-reversed", "architecture or preset", ("-a",), UNTRAINED),
        Role("criterion", CRITERIA, "cross-entropy", "what training minimizes"),
        Role("optimizer", OPTIMIZERS, "adam", "how weights are updated"),
        Role("lr_scheduler", SCHEDULES, "plateau", "how the learning rate changes"),
        Role(
            METRIC_ROLE,
            METRICS,
            "perplexity",
            "what decides which checkpoint is best, and patience",
        ),
    ),
    inherited=finetune.INHERITED,
)


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
    check_decoders(options)
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


def estimate_training(data: str, options: Resolved) -> list[str]:
    """Do a few updates, and return lines about memory, speed, hours and `--max-tokens`.

    Nothing is written. Every rank must call this function; each returns the same lines.

    Args:
        data: folder of the store.
        options: resolved options of TRAIN_SPEC.

    Raises:
        S2STError: data or options cannot be used, or the loss is not finite.
    """
    ranks = read_ranks()
    check_ranks(ranks, options)
    job = _open(data, options)
    with process_group(ranks, job.device, options.config(RanksConfig).rank_timeout):
        named = options.config(BatchingConfig).batch_size
        options = with_choices(options, None, ranks, job.device, job.measured_precision)
        if options.config(BatchingConfig).max_tokens == AUTO:
            options = _with_measured_tokens(job, options, ranks, lambda: 0)
        return _rehearsal(job, options, ranks, lambda: 0).report(named)


def _rehearsal(
    job: "_Job", options: Resolved, ranks: Ranks, stop_signal: Callable[[], int]
) -> "Rehearsal":
    """Build a training that will be thrown away."""
    from s2st.jobs.training_dry_run import Rehearsal
    from s2st.training.checkpoint_folder import CheckpointFolder

    folder = CheckpointFolder(options.config(TrainerConfig).save_dir, 1)  # never written
    model = _build_model(job, options, ranks, fresh=True)
    trainer = _build_trainer(model, job, options, ranks, Observer(), stop_signal, folder)
    shares = not options.config(ParallelConfig).split
    return Rehearsal(trainer, ranks, shares)


def _with_measured_tokens(
    job: "_Job", options: Resolved, ranks: Ranks, stop_signal: Callable[[], int]
) -> Resolved:
    """Replace `--max-tokens auto` by a number."""
    tokens = _rehearsal(job, options, ranks, stop_signal).choose_max_tokens()
    batching = replace(options.config(BatchingConfig), max_tokens=tokens)
    return replaced(options, batching)


@dataclass(frozen=True)
class _Job:
    """The checked inputs of a training.

    Attributes:
        record: the model, with all sizes.
        base: the checkpoint of `--finetune-from`.
    """

    device: "torch.device"
    store: "Store"
    training: "CorpusSet"
    validation: "CorpusSet | None"
    record: "ModelRecord"
    base: finetune.BaseModel | None
    criterion: "Criterion"
    identity: "RunIdentity"
    best_metric: "BestMetric"
    decoder: "ValidationDecoder | None"

    def measured_precision(self) -> str:
        """Return the precision for `--precision auto`, and log why."""
        from s2st.training.measured_precision import faster_precision

        width = getattr(self.record.config, "hidden_size", None)
        words = self.record.sizes.target_vocabulary
        return faster_precision(self.device, width or 512, words)


def _open(data: str, options: Resolved) -> _Job:
    from s2st.data.store import Store
    from s2st.training.checkpoint import RunIdentity
    from s2st.training.pretrained_embeddings import check_files, with_vector_size
    from s2st.training.tensorboard_events import require_tensorboard

    device = setup_device(options.config(DeviceConfig))
    store = Store(data)
    store.verify()  # only here: resuming compares nothing but the store's hash
    arch = options.configs["arch"]
    training = open_training(store, options)
    validation = open_validation(store, arch)
    check_files(options.config(EmbeddingsConfig))
    if options.config(TrainerConfig).tensorboard:
        require_tensorboard()
    config = with_vector_size(options.configs["arch"], options.config(EmbeddingsConfig))
    config = with_default_sizes(config, sum(len(part.target.ids) for part in training.parts))
    base = finetune.read_base(options)
    record = model_record(options, config, store, base)
    criterion = checked_criterion(options, record, base, device)
    mathematics, other = identity_options(options, record.config)
    identity = RunIdentity(mathematics, store.content_hash(), other, environment(device))
    training = as_model_reads(training, store, record)
    if validation is not None:
        validation = as_model_reads(validation, store, record)
    metrics = plan_validation(options, store, record, device)
    return _Job(
        device, store, training, validation, record, base, criterion, identity, *metrics
    )  # fmt: skip


def _train(
    job: _Job, options: Resolved, ranks: Ranks, observer: Observer, stop_signal: Callable[[], int],
    folder: "CheckpointFolder",
) -> TrainResult:  # fmt: skip
    resumed = folder.resume() if ranks.first else None
    recorded = resumed.identity.options if resumed is not None else None
    options = with_choices(options, recorded, ranks, job.device, job.measured_precision)
    identity = _with_choices(job.identity, options)
    if resumed is not None:
        identity = keep_hashes_of_missing_files(resumed.identity, identity, options)
        check_identity(resumed.identity, identity, options, str(resumed.saved.folder))
    if options.config(BatchingConfig).max_tokens == AUTO:
        options = _with_measured_tokens(job, options, ranks, stop_signal)
        identity = _with_choices(identity, options)
    model = _build_model(job, options, ranks, fresh=resumed is None)
    if resumed is None and ranks.first and job.base is not None:
        finetune.log_base(job.base, job.record)
    _log_start(str(job.store.folder), options, job.record.config, model)
    log_mixture(job.training)
    advice = better_choice(options.entries["arch"].base, job.store, len(job.training))
    if advice is not None and resumed is None and job.base is None:
        log.info("%s", advice)
    job = replace(job, identity=identity)
    trainer = _build_trainer(model, job, options, ranks, observer, stop_signal, folder)
    trainer.restore(resumed)
    if resumed is not None:
        log.info("resuming from %s", resumed.saved.folder)
        log_changes(resumed.identity, identity)
    before = trainer.state.update
    state = trainer.train()
    log_costs(trainer, state.update - before, ranks)
    value = state.best_value
    return TrainResult(
        state.update, state.epoch, state.best_nll, state.best_update,
        options.config(TrainerConfig).save_dir, getattr(job.record.config, "reads_source", True),
        trainer.ended, trainer.stopped_early,
        None if value is None else (trainer.parts.best_metric.name, value),
    )  # fmt: skip


def _with_choices(identity: "RunIdentity", options: Resolved) -> "RunIdentity":
    return replace(identity, options={**identity.options, **chosen_values(options)})


def _build_model(job: _Job, options: Resolved, ranks: Ranks, fresh: bool) -> "Seq2SeqModel":
    """Build the model with its initial weights, unless a checkpoint will replace them."""
    import torch

    from s2st.models.model_building import build_model

    record = job.record
    torch.manual_seed(options.config(TrainerConfig).seed)
    model = build_model(record.architecture, record.config, record.sizes)
    set_weights(model, record, job.base, options, ranks, job.device, fresh)
    set_embeddings(model, record, options, ranks, fresh)
    return model


def _build_trainer(
    model: "Seq2SeqModel", job: _Job, options: Resolved, ranks: Ranks, observer: Observer,
    stop_signal: Callable[[], int], folder: "CheckpointFolder",
) -> "Trainer":  # fmt: skip
    from s2st.training.trainer import Trainer
    from s2st.training.training_parts import TrainingParts

    gradients, optimizer = _gradients(model, job.criterion, job.device, ranks, options)
    parts = TrainingParts(
        record=job.record,
        model=model,
        criterion=job.criterion,
        optimizer=optimizer,
        schedule=options.entries["lr_scheduler"].build(options.configs["lr_scheduler"]),
        training=job.training,
        validation=job.validation,
        identity=job.identity,
        decoder=job.decoder,
        best_metric=job.best_metric,
    )
    return Trainer(
        parts, options.config(TrainerConfig), options.config(BatchingConfig), gradients, observer,
        stop_signal, folder,
    )  # fmt: skip


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
    from s2st.training.frozen_parameters import log_frozen

    parameters = sum(parameter.numel() for parameter in model.parameters())
    defaults = {spec.name: spec.default for spec in option_specs(type(config))}
    values = config_values(config).items()
    changed = {name: value for name, value in values if getattr(config, name) != defaults[name]}
    sizes = ", ".join(f"{name} {value}" for name, value in changed.items())
    log.info("data %s; save-dir %s", data, options.config(TrainerConfig).save_dir)
    log.info("architecture %s (%s)", options.entries["arch"].name, sizes)
    log.info("%s parameters", f"{parameters:,}")
    log_frozen(model, options.config(FinetuneConfig).freeze)
    log.info("ppl: perplexity per target token, including the end of each sentence")
