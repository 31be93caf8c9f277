"""Training and validation data of `s2st train`: corpora, their mixture, and their languages."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s2st.data.corpus_mixing import MixingConfig, pairs_per_epoch, shares_of
from s2st.data.subword_sampling import SubwordSamplingConfig
from s2st.errors import UsageError
from s2st.jobs.finetune import with_ids_of
from s2st.options.resolution import Resolved
from s2st.training.options import TrainerConfig

if TYPE_CHECKING:
    from s2st.data.corpora import CorpusSet
    from s2st.data.parallel_corpus import ParallelCorpus
    from s2st.data.store import Store
    from s2st.models.languages import Languages
    from s2st.models.model_record import ModelRecord

log = logging.getLogger("s2st")


def open_training(store: "Store", options: Resolved) -> "CorpusSet":
    """Return the training corpora, mixed and segmented as the options say.

    Raises:
        InputMissingError: the store has no training split.
        UsageError: the options do not fit the corpora.
    """
    from s2st.data.corpora import training_split

    data = training_split(store)
    shares = shares_of(options.config(MixingConfig), data.sizes)
    if shares is not None:
        sizes = [size for _, size in data.sizes]
        data = replace(data, counts=tuple(pairs_per_epoch(sizes, shares)))
    arch, several = options.configs["arch"], len(data.parts) > 1

    def read(part: "ParallelCorpus") -> "ParallelCorpus":
        return as_read(_sampled(part, store, options, several), arch)

    return data.read_as(read)


def _sampled(
    corpus: "ParallelCorpus", store: "Store", options: Resolved, several: bool
) -> "ParallelCorpus":
    """Return training text, segmented anew in each epoch with --subword-sampling."""
    from s2st.data.subword_sampling import SampledSide, sampled_corpus

    config = options.config(SubwordSamplingConfig)
    if not config.subword_sampling:
        return corpus
    sides = [("target", corpus.target_language)]
    reads_source = getattr(options.configs["arch"], "reads_source", True)
    if reads_source and not store.tokenizers[corpus.source_language].vector_size:
        sides.append(("source", corpus.source_language))
    sampled = [SampledSide(s, store.tokenizers[n], store.vocabularies[n]) for s, n in sides]
    name = f"{corpus.source_language}-{corpus.target_language} " if several else ""
    return sampled_corpus(corpus, sampled, config, options.config(TrainerConfig).seed, name)


def open_validation(store: "Store", arch: Any) -> "CorpusSet | None":
    """Return the validation corpora as an architecture reads them; None if the store has none."""
    from s2st.data.corpora import read_split

    data = read_split(store, "valid")
    if data is None:
        log.warning(
            "%s has no valid split: no early stopping, and checkpoint_best is the last",
            store.folder,
        )
        return None
    return data.read_as(lambda part: as_read(part, arch))


def as_read(corpus: "ParallelCorpus", arch: Any) -> "ParallelCorpus":
    """Return a split as an architecture reads it: without source, or with reversed targets."""
    if not getattr(arch, "reads_source", True):
        corpus = corpus.with_absent_source()
    return corpus.with_targets_reversed() if getattr(arch, "reverse_target", False) else corpus


def languages_of(store: "Store", decoders: str) -> "Languages | None":
    """Return the languages of a model for the pairs of a store; None for a store of one pair.

    Args:
        store: the store.
        decoders: "shared" or "per-language".

    Raises:
        UsageError: the vocabularies of the store do not fit the decoders.
    """
    from s2st.models.languages import PER_LANGUAGE, Languages, LanguageSide

    if not store.several_pairs:
        if decoders == PER_LANGUAGE:
            raise UsageError(
                f"--decoders per-language needs several pairs, but {store.folder} has one: use "
                "`s2st preprocess --pair en-fr:PREFIX --pair en-ko:PREFIX`"
            )
        return None
    sides = {
        name: LanguageSide(store.tokenizers[name], vocabulary)
        for name, vocabulary in store.vocabularies.items()
    }
    languages = Languages(sides, store.pairs, decoders)
    for side, names in (("source", languages.sources), ("target", languages.targets)):
        words = [sides[name].vocabulary for name in names]
        if (side == "source" or not languages.per_language) and any(v != words[0] for v in words):
            other = " or --decoders per-language" if side == "target" else ""
            raise UsageError(
                f"{store.folder}: the {side} languages {', '.join(names)} have vocabularies of "
                f"their own: use `s2st preprocess --joined-dictionary`{other}"
            )
    if languages.needs_tag and not sides[languages.sources[0]].vocabulary.tags:
        raise UsageError(
            f"{store.folder}: the source vocabulary has no tags of target languages: use `s2st "
            "preprocess --joined-dictionary` or --decoders per-language"
        )
    return languages


def as_model_reads(data: "CorpusSet", store: "Store", record: "ModelRecord") -> "CorpusSet":
    """Return data with the ids of a model's vocabularies, and with tags if the model reads them."""
    tags = {}
    if record.languages is not None and record.languages.needs_tag:
        tags = record.source_vocabulary.tags

    def read(part: "ParallelCorpus") -> "ParallelCorpus":
        part = with_ids_of(part, store, record)
        return replace(part, tag=tags.get(part.target_language))

    return data.read_as(read)


def log_mixture(data: "CorpusSet") -> None:
    """Log the number of pairs of each corpus, and what an epoch has of it."""
    if len(data.sizes) == 1:
        return
    for (name, size), count in zip(
        data.sizes, data.counts or [size for _, size in data.sizes], strict=True
    ):
        times = f", each {count / size:.2f} times on average" if count != size else ""
        log.info("corpus %s: %s pairs; an epoch has %s%s", name, f"{size:,}", f"{count:,}", times)
