"""Options of the trainer, importable without torch."""

from dataclasses import dataclass

from s2st.options.config import MOST_INTEGER, option

MOST_UPDATES = 1_000_000_000_000


@dataclass(frozen=True)
class TrainerConfig:
    """How long to train, how to normalise, when to validate and save."""

    save_dir: str = option("checkpoints", "folder of the checkpoints; a run there is resumed")
    max_epoch: float | None = option(
        40.0, "stop after this many epochs (7.5 is seven and a half)", minimum=0, maximum=1_000_000
    )
    max_update: int | None = option(
        None, "stop after this many updates", minimum=1, maximum=MOST_UPDATES
    )
    patience: int | None = option(
        5,
        "stop after this many validations without a better perplexity",
        minimum=1,
        maximum=1_000_000,
    )
    update_freq: int = option(
        1,
        "batches accumulated for one update; under torchrun a multiple of the processes, to which "
        "they are dealt",
        minimum=1,
        maximum=1_000_000,
    )
    clip_norm: float = option(
        5.0, "scale the gradient down to this norm; 0 never", minimum=0, maximum=1_000_000_000
    )
    ema_decay: float = option(
        0.0,
        "validate and save an exponential moving average of the weights with this decay, such as "
        "0.9999; 0 the weights themselves",
        minimum=0,
        maximum=0.999999999,
    )
    normalization: str = option(
        "sentences",
        "divide the summed gradient by the sentences of the update, as the paper, or its tokens",
        choices=("sentences", "tokens"),
    )
    validate_interval_updates: int | None = option(
        None,
        "validate every N updates too, not only after each epoch",
        minimum=1,
        maximum=MOST_UPDATES,
    )
    save_interval_updates: int | None = option(
        None, "save every N updates too, not only after validation", minimum=1, maximum=MOST_UPDATES
    )
    keep_last: int = option(
        2, "numbered checkpoints to keep; the best is always kept", minimum=1, maximum=1_000_000
    )
    log_interval: int = option(
        50, "updates between progress lines", minimum=1, maximum=MOST_UPDATES
    )
    seed: int = option(
        1, "seed of initial weights, batch order and dropout", minimum=0, maximum=MOST_INTEGER
    )
    on_divergence: str = option(
        "stop",
        "when the loss or gradient is not finite: stop, skip the batch, or restore the last "
        "checkpoint and halve the learning rate",
        choices=("stop", "skip", "restore"),
    )
    max_divergences: int = option(
        3,
        "stop at the next divergence after this many were skipped or restored",
        minimum=0,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class EmbeddingsConfig:
    """Word vectors from outside: text files of word2vec, GloVe or fastText."""

    source_embeddings: str | None = option(
        None, "text file of word vectors (word2vec, GloVe, fastText) that source words begin with"
    )
    target_embeddings: str | None = option(
        None, "text file of word vectors that target words begin with"
    )
    lowercase_embeddings: bool = option(
        False, "a word without a vector begins with that of its lower-cased form"
    )
    freeze_embeddings: bool = option(False, "do not train the tables that begin with such vectors")

    def paths(self) -> dict[str, str]:
        """Side -> file, of those that are given."""
        given = {"source": self.source_embeddings, "target": self.target_embeddings}
        return {side: path for side, path in given.items() if path is not None}


@dataclass(frozen=True)
class ParallelConfig:
    """How processes that torchrun starts train one model together."""

    shard_parameters: bool = option(
        False, "under torchrun each process keeps a part of the weights (FSDP), not all of them"
    )
    gradient_compression: str = option(
        "none",
        "number format in which gradients are sent between processes",
        choices=("none", "bfloat16", "float16"),
    )
    pipeline_stages: int = option(
        1,
        "divide the layers into so many stages, each with the encoder and decoder layers of one "
        "height on processes of its own",
        minimum=1,
        maximum=1000,
    )
    vocabulary_parts: int = option(
        1,
        "processes for each stage; the batch is divided over these, the softmax over all "
        "processes of all stages",
        minimum=1,
        maximum=10_000,
    )
    micro_batches: int = option(
        4, "parts of a batch that follow each other through the stages", minimum=1, maximum=10_000
    )

    @property
    def split(self) -> bool:
        """Whether layers and softmax are divided, not only batches."""
        return self.pipeline_stages * self.vocabulary_parts > 1
