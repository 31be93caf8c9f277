"""The model of a training: its record, what it must fit, and its initial weights."""

import logging
from typing import TYPE_CHECKING, Any

from s2st.errors import UsageError
from s2st.jobs import finetune
from s2st.jobs.finetune import BaseModel
from s2st.jobs.training_checks import check_memory
from s2st.jobs.training_data import languages_of
from s2st.options.registry import loaded_plugins
from s2st.options.resolution import Resolved
from s2st.process.ranks import Ranks
from s2st.text.tokenizers import absent_side
from s2st.text.vocabulary import Vocabulary
from s2st.training.options import EmbeddingsConfig, FinetuneConfig, LanguagesConfig, ParallelConfig

if TYPE_CHECKING:
    import torch

    from s2st.criteria.cross_entropy import Criterion
    from s2st.data.store import Store
    from s2st.models.base import Seq2SeqModel
    from s2st.models.model_record import ModelRecord

log = logging.getLogger("s2st")


def model_record(
    options: Resolved, config: Any, store: "Store", base: BaseModel | None
) -> "ModelRecord":
    """Return the record of a model for the store's words, and those of `--finetune-from`.

    Raises:
        UsageError: the sides are to share embeddings, but their vocabularies differ; the store has
            other words than the checkpoint; or as `languages_of`.
    """
    from s2st.models.model_record import ModelRecord

    if base is not None:
        config = finetune.with_cutoffs(config, base)
    words, tokenizer = store.source_vocabulary, store.source_tokenizer
    name = options.entries["arch"].base
    languages = languages_of(store, options.config(LanguagesConfig).decoders)
    reads_source = getattr(config, "reads_source", True)
    if languages is not None and not reads_source:
        raise UsageError(f"--arch {name} reads no source: it needs a store of --only-target")
    if not reads_source:
        words, tokenizer = Vocabulary([], []), absent_side()
    record = ModelRecord(
        name, config, words, store.target_vocabulary, tokenizer, store.target_tokenizer,
        loaded_plugins(), languages,
    )  # fmt: skip
    if base is not None:
        extend = options.config(FinetuneConfig).extend_vocabulary
        record = finetune.with_base_words(record, base, store, extend)
    shared = reads_source and getattr(config, "tie_embeddings", "none") == "all"
    if shared and record.source_vocabulary != record.target_vocabulary:
        raise UsageError(
            f"--tie-embeddings all: {store.folder} has separate vocabularies; run `s2st preprocess "
            "--joined-dictionary`"
        )
    return record


def checked_criterion(
    options: Resolved, record: "ModelRecord", base: BaseModel | None, device: "torch.device"
) -> "Criterion":
    """Return the criterion of a training whose components fit each other.

    The checks come before memory is allocated, by a model without memory.

    Raises:
        S2STError: components do not fit, or a file of the criterion cannot be used.
    """
    from s2st.models.model_building import planned_model
    from s2st.training.finetuning import check_fit
    from s2st.training.frozen_parameters import freeze

    if record.source_tokenizer.vector_size and options.config(EmbeddingsConfig).source_embeddings:
        raise UsageError("--source-embeddings needs a source of words; the store has vectors")
    model = planned_model(record.architecture, record.config, record.sizes)
    if base is not None:
        check_fit(base.record, record, base.path)
    freeze(model, options.config(FinetuneConfig).freeze)
    check_memory(model, device)
    criterion: Criterion = options.entries["criterion"].build(options.configs["criterion"])
    criterion.check(model)
    split = options.config(ParallelConfig)
    if split.split:
        from s2st.training.pipeline_parallel import check_division

        stages = split.pipeline_stages
        check_division(model, criterion, stages, stages * split.vocabulary_parts)
    criterion.read_files(record)
    return criterion


def set_weights(
    model: "Seq2SeqModel", record: "ModelRecord", base: BaseModel | None, options: Resolved,
    ranks: Ranks, device: "torch.device", fresh: bool,
) -> None:  # fmt: skip
    """Set the initial weights from the checkpoint of `--finetune-from`, and freeze parameters."""
    from s2st.training.finetuning import begin_with_weights, broadcast_weights
    from s2st.training.frozen_parameters import freeze

    grown: list[str] = []
    if base is not None:
        if fresh and ranks.first:
            grown = begin_with_weights(model, record, base.path)
        if options.config(ParallelConfig).split:  # other ways send the weights of rank 0 anyway
            broadcast_weights(model, device)
    freeze(model, options.config(FinetuneConfig).freeze)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in grown:
        if name in parameters and not parameters[name].requires_grad:
            log.warning("--freeze: %s has rows of new words, which are not trained either", name)


def set_embeddings(
    model: "Seq2SeqModel", record: "ModelRecord", options: Resolved, ranks: Ranks, fresh: bool
) -> None:
    """Freeze tables, and set initial embeddings from files of word vectors.

    Only rank 0 reads the files, since the others receive its weights. With pipeline stages every
    rank reads them.
    """
    from s2st.training.pretrained_embeddings import begin_with_vectors, freeze_tables

    files = options.config(EmbeddingsConfig)
    freeze_tables(model, files)
    if files.paths() and fresh and (ranks.first or options.config(ParallelConfig).split):
        sides = {"source": record.source_vocabulary, "target": record.target_vocabulary}
        begin_with_vectors(model, sides, files, record.config)
