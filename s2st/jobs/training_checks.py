"""Checks before a training starts: options that fit the number of ranks, memory for the model."""

from typing import TYPE_CHECKING

from s2st.errors import OutOfMemoryError, UsageError
from s2st.models.languages import PER_LANGUAGE
from s2st.options.resolution import Resolved
from s2st.process.device import memory_limit
from s2st.process.ranks import Ranks
from s2st.training.options import (
    EmbeddingsConfig,
    LanguagesConfig,
    ParallelConfig,
    TrainerConfig,
)

if TYPE_CHECKING:
    import torch

    from s2st.models.base import Seq2SeqModel

GIB = 1 << 30


def check_ranks(ranks: Ranks, options: Resolved) -> None:
    """Raise UsageError if the options do not fit the number of processes."""
    config = options.config(ParallelConfig)
    if config.split:
        stages, parts = config.pipeline_stages, config.vocabulary_parts
        if stages * parts != ranks.size:
            raise UsageError(
                f"--pipeline-stages {stages} and --vocabulary-parts {parts} need {stages * parts} "
                f"processes (torchrun --nproc-per-node), but there are {ranks.size}"
            )
        if config.shard_parameters or config.gradient_compression != "none":
            raise UsageError(
                "--shard-parameters and --gradient-compression cannot be used with "
                "--pipeline-stages and --vocabulary-parts"
            )
        return
    batches = options.config(TrainerConfig).update_freq
    if batches is not None and batches % ranks.size:
        divisible = -(-batches // ranks.size) * ranks.size
        raise UsageError(
            f"--update-freq {batches}: {ranks.size} processes cannot share the batches of an "
            f"update evenly; use --update-freq {divisible} (any number of processes that divides "
            "it gives the same run), or leave the option out: one batch per process"
        )


def check_decoders(options: Resolved) -> None:
    """Raise UsageError for options that a model with several decoders cannot have."""
    if options.config(LanguagesConfig).decoders != PER_LANGUAGE:
        return
    split, files = options.config(ParallelConfig), options.config(EmbeddingsConfig)
    refused = {
        "--shard-parameters": split.shard_parameters,
        "--pipeline-stages": split.pipeline_stages > 1,
        "--vocabulary-parts": split.vocabulary_parts > 1,
        "--target-embeddings": files.target_embeddings is not None,
    }
    for flag, given in refused.items():
        if given:
            raise UsageError(f"{flag} cannot be combined with --decoders per-language")


def check_memory(model: "Seq2SeqModel", device: "torch.device") -> None:
    """Raise OutOfMemoryError if weights and gradients do not fit into the memory.

    A frozen parameter has no gradient, and that of an embedding table may be sparse.

    Without this check the allocation may succeed, and the kernel kills the process later.
    """
    from torch import nn

    tables = [part.weight for part in model.modules() if isinstance(part, nn.Embedding)]
    weights = sum(item.numel() * item.element_size() for item in model.parameters())
    dense = {id(item): item for item in model.parameters() if item.requires_grad}
    for table in tables:
        dense.pop(id(table), None)
    gradients = sum(item.numel() * item.element_size() for item in dense.values())
    # on a GPU, gradients are not in this process' memory
    needed, limit = weights + gradients if device.type == "cpu" else weights, memory_limit()
    if needed > limit:
        count = sum(item.numel() for item in model.parameters())
        raise OutOfMemoryError(
            f"out of memory: the {count:,} parameters of this model and their gradients take "
            f"{needed / GIB:,.0f} GiB, but this process can have {limit / GIB:,.1f} GiB; lower "
            "--hidden-size, --embedding-size or --layers, or use smaller vocabularies"
        )
