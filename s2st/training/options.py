"""Options of training: trainer, pretrained embeddings, parallel training. Imports no torch."""

from dataclasses import dataclass

from s2st.options.option_fields import MAX_INTEGER, option

MAX_UPDATES = 1_000_000_000_000


@dataclass(frozen=True)
class TrainerConfig:
    """How long to train, how to normalize gradients, when to validate and save."""

    save_dir: str = option("checkpoints", "folder for checkpoints; an earlier run in it is resumed")
    max_epoch: float | None = option(
        40.0,
        "stop after this many epochs; may be fractional, such as 7.5",
        minimum=0,
        maximum=1_000_000,
    )
    max_update: int | None = option(
        None, "stop after this many updates", minimum=1, maximum=MAX_UPDATES
    )
    max_time: float | None = option(
        None,
        "save and stop after this many hours of this run; the same command resumes it",
        minimum=0,
        maximum=1_000_000,
        open_minimum=True,
    )
    patience: int | None = option(
        5,
        "stop after this many validations without improvement",
        minimum=1,
        maximum=1_000_000,
    )
    update_freq: int | None = option(
        None,
        "batches per update over all processes; under torchrun a multiple of their number; "
        "default: one batch per process; a resumed run keeps its number",
        minimum=1,
        maximum=1_000_000,
    )
    clip_norm: float = option(
        5.0,
        "maximum norm of the gradient; larger gradients are scaled down to it; 0: no limit",
        minimum=0,
        maximum=1_000_000_000,
    )
    ema_decay: float = option(
        0.0,
        "decay of an exponential moving average of the weights, such as 0.9999; validation and "
        "checkpoints use the average; 0: no average",
        minimum=0,
        maximum=0.999999999,
    )
    normalization: str = option(
        "sentences",
        "divide the summed gradient by the number of sentences (as the paper does) or target "
        "tokens of the update",
        choices=("sentences", "tokens"),
    )
    validate_interval_updates: int | None = option(
        None,
        "also validate every N updates, not only after each epoch",
        minimum=1,
        maximum=MAX_UPDATES,
    )
    save_interval_updates: int | None = option(
        None,
        "also save every N updates, not only after validation",
        minimum=1,
        maximum=MAX_UPDATES,
    )
    keep_last: int = option(
        2, "numbered checkpoints to keep; the best is always kept", minimum=1, maximum=1_000_000
    )
    keep_best: int = option(
        1, "best checkpoints to keep, beside the last ones", minimum=1, maximum=1_000_000
    )
    tensorboard: bool = option(
        False, "also write event files for TensorBoard to SAVE_DIR/tensorboard"
    )
    log_interval: int = option(50, "updates between progress lines", minimum=1, maximum=MAX_UPDATES)
    seed: int = option(
        1, "seed of initial weights, batch order and dropout", minimum=0, maximum=MAX_INTEGER
    )
    on_divergence: str = option(
        "stop",
        "if the loss or gradient is not finite: stop; skip the batch; or restore the last "
        "checkpoint with half the learning rate",
        choices=("stop", "skip", "restore"),
    )
    max_divergences: int = option(
        3,
        "number of divergences to skip or restore; the next one stops training",
        minimum=0,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class ValidationConfig:
    """Translation of the validation split."""

    validate_beam: int = option(
        5,
        "beam of the search when validation translates (--best-checkpoint-metric, "
        "--validate-samples)",
        minimum=1,
        maximum=100_000,
    )
    validate_samples: int = option(
        0,
        "at each validation, log this many sources with reference and translation",
        minimum=0,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class DryRunConfig:
    """Whether to train at all."""

    dry_run: bool = option(
        False,
        "do a few updates, print memory, speed, hours and the largest --max-tokens; write nothing",
    )


@dataclass(frozen=True)
class LanguagesConfig:
    """How a model translates into several target languages."""

    decoders: str = option(
        "shared",
        "for a store of several language pairs: one decoder, and a tag before each source that "
        "names the target language; or a decoder for each target language, with one encoder",
        choices=("shared", "per-language"),
    )


@dataclass(frozen=True)
class EmbeddingsConfig:
    """Pretrained word vectors: text files of word2vec, GloVe or fastText."""

    source_embeddings: str | None = option(
        None,
        "initialize the source embeddings from this text file of word vectors (word2vec, GloVe, "
        "fastText)",
        content=True,
    )
    target_embeddings: str | None = option(
        None, "initialize the target embeddings from this text file of word vectors", content=True
    )
    lowercase_embeddings: bool = option(
        False, "if a word has no vector, use the vector of its lowercased form"
    )
    freeze_embeddings: bool = option(
        False, "do not train the embeddings of a side that has a file of word vectors"
    )

    def paths(self) -> dict[str, str]:
        """Return side -> file for the files that are given."""
        given = {"source": self.source_embeddings, "target": self.target_embeddings}
        return {side: path for side, path in given.items() if path is not None}


@dataclass(frozen=True)
class FinetuneConfig:
    """Initial weights from a checkpoint, and parameters that are not trained."""

    finetune_from: str | None = option(
        None,
        "begin with the weights of this checkpoint, and with its architecture unless --arch or its "
        "options are given; optimizer, schedule and data order start anew",
    )
    extend_vocabulary: bool = option(
        False,
        "with --finetune-from: add rows with initial weights for the words of DATA that the "
        "checkpoint lacks",
    )
    freeze: tuple[str, ...] = option(
        (),
        "do not train parameters of this name, such as encoder (its layers; the embeddings are "
        "source_embedding) or 'decoder.layers.0.*' (see inspect --parameters); can be repeated",
    )


@dataclass(frozen=True)
class ParallelConfig:
    """How the processes that torchrun starts divide the work of training one model."""

    shard_parameters: bool = option(
        False, "under torchrun each process keeps only a shard of the weights (FSDP)"
    )
    gradient_compression: str = option(
        "none",
        "data type in which processes exchange gradients",
        choices=("none", "bfloat16", "float16"),
    )
    pipeline_stages: int = option(
        1,
        "number of pipeline stages; each stage has the encoder and decoder layers at one depth, "
        "and its own processes",
        minimum=1,
        maximum=1000,
    )
    vocabulary_parts: int = option(
        1,
        "processes per stage; they divide each batch, and the processes of all stages divide the "
        "softmax",
        minimum=1,
        maximum=10_000,
    )
    micro_batches: int = option(
        4, "micro-batches per batch in the pipeline", minimum=1, maximum=10_000
    )

    @property
    def split(self) -> bool:
        """Whether processes divide layers and softmax, not only batches."""
        return self.pipeline_stages * self.vocabulary_parts > 1
