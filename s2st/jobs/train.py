"""The job of `s2st train`: from a store and resolved options to checkpoints."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.criteria.registry import CRITERIA
from s2st.data.batch_planner import BatchingConfig
from s2st.errors import OutOfMemoryError, UsageError
from s2st.jobs.training_resume_checks import (
    check_identity,
    identity_of,
    tell_changes,
    with_files_of,
)
from s2st.models.registry import ARCHITECTURES, UNTRAINED, with_default_sizes
from s2st.options.config import config_values, option_specs
from s2st.options.registry import loaded_plugins
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.device import DeviceConfig, environment, memory_limit, setup_device
from s2st.process.ranks import Ranks, RanksConfig, process_group, ranks
from s2st.text.tokenizers import absent_side
from s2st.text.vocabulary import Vocabulary
from s2st.training.lr_schedules import SCHEDULES
from s2st.training.observer import Observer
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.options import EmbeddingsConfig, ParallelConfig, TrainerConfig

if TYPE_CHECKING:
    import torch

    from s2st.criteria.cross_entropy import Criterion
    from s2st.data.store import ParallelCorpus, Store
    from s2st.models.base import Seq2SeqModel
    from s2st.models.model_files import ModelRecord
    from s2st.training.checkpoint import CheckpointFolder, RunIdentity
    from s2st.training.gradient_accumulation import Gradients

log = logging.getLogger("s2st")
GIB = 1 << 30

TRAIN_SPEC = CommandSpec(
    fixed=(
        TrainerConfig,
        BatchingConfig,
        EmbeddingsConfig,
        DeviceConfig,
        ParallelConfig,
        RanksConfig,
    ),
    roles=(
        Role("arch", ARCHITECTURES, "lstm-reversed", "architecture or preset", ("-a",), UNTRAINED),
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
    },
    # Vaswani et al. 2017, sections 5.1 to 5.4; the rate is the largest of its schedule
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


@dataclass(frozen=True)
class TrainResult:
    """How a training ended."""

    update: int
    epochs: int
    best_nll: float | None
    best_update: int
    save_dir: str
    reads_source: bool = True


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
    from s2st.training.checkpoint import CheckpointFolder
    from s2st.training.save_folder_lock import hold_folder

    own = ranks()
    _check_ranks(own, options)
    job = _open(data, options)  # before the lock: what is refused here leaves no folder behind
    save_dir = Path(options.config(TrainerConfig).save_dir)
    with contextlib.ExitStack() as stack:
        seconds = options.config(RanksConfig).rank_timeout
        stack.enter_context(process_group(own, job.device, seconds))
        held = stack.enter_context(hold_folder(save_dir)) if own.first else None
        folder = CheckpointFolder(save_dir, options.config(TrainerConfig).keep_last, held)
        return _train(job, options, own, observer if own.first else Observer(), stop_signal, folder)


def _check_ranks(own: Ranks, options: Resolved) -> None:
    """Refuses what cannot be dealt to the processes."""
    config = options.config(ParallelConfig)
    if config.split:
        stages, parts = config.pipeline_stages, config.vocabulary_parts
        if stages * parts != own.size:
            raise UsageError(
                f"--pipeline-stages {stages} and --vocabulary-parts {parts} take {stages * parts} "
                f"processes (torchrun --nproc-per-node), there are {own.size}"
            )
        if config.shard_parameters or config.gradient_compression != "none":
            raise UsageError(
                "--shard-parameters and --gradient-compression cannot be used with "
                "--pipeline-stages and --vocabulary-parts"
            )
        return
    batches = options.config(TrainerConfig).update_freq
    if batches % own.size:
        raise UsageError(
            f"--update-freq {batches}: the batches of an update cannot be dealt evenly to "
            f"{own.size} processes; use --update-freq {-(-batches // own.size) * own.size} (with "
            "as many processes as divide it, or one alone, the run is the same)"
        )


@dataclass(frozen=True)
class _Job:
    """What is to be trained on what, checked."""

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

    device = setup_device(options.config(DeviceConfig))
    store = Store(data)
    store.verify()  # once a run; a resumed one is told by its hashes that the data are the same
    arch = options.configs["arch"]
    training = _as_read(store.split("train"), arch)
    validation = _as_read(store.split("valid"), arch) if "valid" in store.splits else None
    if validation is None:
        log.warning("%s has no valid split: no early stopping, best is last", data)
    check_files(options.config(EmbeddingsConfig))
    config = with_vector_size(options.configs["arch"], options.config(EmbeddingsConfig))
    config = with_default_sizes(config, len(training.target.ids))
    _check_model(options, config, store, device)
    mathematics, other = identity_of(options, config)
    identity = RunIdentity(mathematics, store.content_hash(), other, environment(device))
    return _Job(device, store, training, validation, config, identity)


def _as_read(corpus: "ParallelCorpus", arch: Any) -> "ParallelCorpus":
    """A split as models of this architecture's config read it: what of a pair, in what order."""
    if not getattr(arch, "reads_source", True):
        corpus = corpus.with_absent_source()
    return corpus.with_targets_reversed() if getattr(arch, "reverse_target", False) else corpus


def _check_model(options: Resolved, config: Any, store: "Store", device: "torch.device") -> None:
    """Refuses what does not fit together or has no stages, by a model without memory."""
    from s2st.models.model_files import planned_model

    name = options.entries["arch"].base
    model = planned_model(name, config, _record(name, config, store).sizes)
    _check_memory(model, device)
    criterion = options.entries["criterion"].build(options.configs["criterion"])
    criterion.check(model)
    split = options.config(ParallelConfig)
    if split.split:
        from s2st.training.pipeline_parallel import check_division

        stages = split.pipeline_stages
        check_division(model, criterion, stages, stages * split.vocabulary_parts)


def _check_memory(model: "Seq2SeqModel", device: "torch.device") -> None:
    """Raises OutOfMemoryError for weights and gradients that cannot fit into the memory.

    Allocating them might seem to work, and the system would kill the process when it uses them.
    """
    from torch import nn

    tables = [part.weight for part in model.modules() if isinstance(part, nn.Embedding)]
    weights = sum(item.numel() * item.element_size() for item in model.parameters())
    sparse = sum(item.numel() * item.element_size() for item in tables)
    # a GPU has memory of its own for the gradients
    needed, limit = 2 * weights - sparse if device.type == "cpu" else weights, memory_limit()
    if needed > limit:
        count = sum(item.numel() for item in model.parameters())
        raise OutOfMemoryError(
            f"out of memory: the {count:,} parameters of this model and their gradients take "
            f"{needed / GIB:,.0f} GiB, and this process can have {limit / GIB:,.1f} GiB; lower "
            "--hidden-size, --embedding-size or --layers, or cut the vocabularies"
        )


def _record(name: str, config: Any, store: "Store") -> "ModelRecord":
    """What a model of the store's words is; the source of one that reads none is nothing.

    Raises:
        UsageError: both sides' words are to share their vectors, and are not the same words.
    """
    from s2st.models.model_files import ModelRecord

    words, tokenizer = store.source_vocabulary, store.source_tokenizer
    if not getattr(config, "reads_source", True):
        words, tokenizer = Vocabulary([], []), absent_side()
    elif getattr(config, "tie_embeddings", "none") == "all" and words != store.target_vocabulary:
        raise UsageError(
            f"--tie-embeddings all: {store.folder} has a vocabulary for each side; preprocess with "
            "--joined-dictionary"
        )
    return ModelRecord(
        name, config, words, store.target_vocabulary, tokenizer, store.target_tokenizer,
        loaded_plugins(),
    )  # fmt: skip


def _train(
    job: _Job, options: Resolved, own: Ranks, observer: Observer, stop_signal: Callable[[], int],
    folder: "CheckpointFolder",
) -> TrainResult:  # fmt: skip
    import torch

    from s2st.models.model_files import build_model
    from s2st.training.trainer import Trainer, TrainingParts

    trainer_config = options.config(TrainerConfig)
    arch, config, store = options.entries["arch"], job.config, job.store
    resumed = folder.resume() if own.first else None
    identity = job.identity
    if resumed is not None:
        identity = with_files_of(resumed.identity, identity, options)
        check_identity(resumed.identity, identity, options, str(resumed.saved.folder))
    record = _record(arch.base, config, store)
    torch.manual_seed(trainer_config.seed)
    model = build_model(record.architecture, config, record.sizes)
    _set_embeddings(model, job, options, own, fresh=resumed is None)
    _log_start(str(store.folder), options, config, model)
    criterion = options.entries["criterion"].build(options.configs["criterion"])
    gradients, optimizer = _gradients(model, criterion, job.device, own, options)
    parts = TrainingParts(
        record=record,
        model=model,
        criterion=criterion,
        optimizer=optimizer,
        schedule=options.entries["lr_scheduler"].build(options.configs["lr_scheduler"]),
        training=job.training,
        validation=job.validation,
        identity=identity,
    )
    trainer = Trainer(
        parts, trainer_config, options.config(BatchingConfig), gradients, observer, stop_signal,
        folder,
    )  # fmt: skip
    trainer.restore(resumed)
    if resumed is not None:
        log.info("going on from %s", resumed.saved.folder)
        tell_changes(resumed.identity, identity)
    before = trainer.state.update
    state = trainer.train()
    share = trainer.seconds_saving / max(1e-9, trainer.seconds)
    log.info(
        "saving took %.1f s of %.0f s (%.1f %%)",
        trainer.seconds_saving,
        trainer.seconds,
        100 * share,
    )
    if state.update > before:
        each = gradients.bytes_exchanged // (state.update - before)
        if each:
            log.info("each of %d processes gave %s bytes an update", own.size, f"{each:,}")
    return TrainResult(
        state.update, state.epoch, state.best_nll, state.best_update, trainer_config.save_dir,
        getattr(config, "reads_source", True),
    )  # fmt: skip


def _set_embeddings(
    model: "Seq2SeqModel", job: _Job, options: Resolved, own: Ranks, fresh: bool
) -> None:
    """Word vectors from outside; whole models get the first rank's weights, others read too."""
    from s2st.training.pretrained_embeddings import begin_with_vectors, freeze_tables

    files = options.config(EmbeddingsConfig)
    freeze_tables(model, files)
    if files.paths() and fresh and (own.first or options.config(ParallelConfig).split):
        store = job.store
        sides = {"source": store.source_vocabulary, "target": store.target_vocabulary}
        begin_with_vectors(model, sides, files, job.config)


def _gradients(
    model: "Seq2SeqModel", criterion: "Criterion", device: "torch.device", own: Ranks,
    options: Resolved,
) -> "tuple[Gradients, torch.optim.Optimizer]":  # fmt: skip
    """How this process makes gradients, and the optimiser of what it keeps of the model."""
    import torch

    from s2st.training.gradient_accumulation import Gradients, Loss
    from s2st.training.sparse_embeddings import set_sparse_tables

    def optimizer(kept: "torch.nn.Module" = model) -> "torch.optim.Optimizer":
        config = options.configs["optimizer"]
        made: torch.optim.Optimizer = options.entries["optimizer"].build(config, kept.parameters())
        return made

    config = options.config(ParallelConfig)
    precision = options.config(DeviceConfig).precision
    if config.split:
        from s2st.training.pipeline_parallel import StagedGradients
        from s2st.training.pipeline_schedule import make_rank_grid

        seconds = options.config(RanksConfig).rank_timeout
        grid = make_rank_grid(config.pipeline_stages, config.vocabulary_parts, device, seconds)
        loss = Loss(model, criterion, device, precision)
        staged = StagedGradients(loss, device, precision, own, grid, config.micro_batches)
        made = optimizer(staged.model)
        set_sparse_tables(staged.model, getattr(made, "sparse_tables", False))
        return staged, made
    loss = Loss(model.to(device), criterion, device, precision)
    if own.size > 1 and config.shard_parameters:
        from s2st.training.data_parallel import ShardedDataParallel

        if options.entries["optimizer"].base == "lazy-adam":
            raise UsageError("--optimizer lazy-adam cannot be used with --shard-parameters")
        sharded = ShardedDataParallel(loss, device, own)
        made = optimizer()  # of the parts
        if isinstance(made, torch.optim.SGD):  # whose fused update torch has for no parts
            made.param_groups[0]["fused"] = False
        return sharded, made
    made = optimizer()
    set_sparse_tables(model, getattr(made, "sparse_tables", False))
    if own.size == 1:
        return Gradients(loss, device), made
    from s2st.training.data_parallel import DataParallel

    return DataParallel(loss, device, own, config.gradient_compression), made


def _log_start(data: str, options: Resolved, config: Any, model: Any) -> None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    defaults = {spec.name: spec.default for spec in option_specs(type(config))}
    own = {k: v for k, v in config_values(config).items() if getattr(config, k) != defaults[k]}
    sizes = ", ".join(f"{name} {value}" for name, value in own.items())
    log.info("data %s; save-dir %s", data, options.config(TrainerConfig).save_dir)
    log.info("architecture %s (%s)", options.entries["arch"].name, sizes)
    log.info("%s parameters", f"{parameters:,}")
    log.info("ppl: perplexity per target token, ends of sentences counted")
