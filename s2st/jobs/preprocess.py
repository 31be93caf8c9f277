"""The job of `s2st preprocess`: from options to a store, and the counts of what it holds."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from s2st.data.preprocess import (
    CorpusCounts,
    PreprocessReport,
    SideCounts,
    SplitReport,
    write_store,
)
from s2st.data.preprocess_languages import languages_of
from s2st.data.preprocess_options import PreprocessConfig, checked, texts_of
from s2st.data.user_dictionaries import dictionary_tokenizer
from s2st.jobs.vocabulary_advice import subword_advice
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.ranks import read_ranks
from s2st.text.tokenizers import (
    ABSENT,
    INTERNAL,
    TOKENIZERS,
    TokenizerSpec,
    absent_side,
    vectors_side,
)

PREPROCESS_SPEC = CommandSpec(
    fixed=(PreprocessConfig,),
    roles=(Role("tokenizer", TOKENIZERS, "none", "how lines become tokens", (), INTERNAL),),
)
log = logging.getLogger("s2st")


def preprocess(options: Resolved) -> PreprocessReport | None:
    """Write the store and log its counts.

    The first of several ranks does all the work, with as many worker processes as its machine
    has ranks.

    Args:
        options: of PREPROCESS_SPEC.

    Returns:
        The counts; None on every rank but the first.

    Raises:
        UsageError: options that do not go together.
        S2STError: files that cannot be read or written.
    """
    job_ranks = read_ranks()
    if not job_ranks.first:
        return None
    config = options.config(PreprocessConfig)
    config = replace(config, workers=max(config.workers, job_ranks.local_size))
    dictionaries = {"src": config.srcdict, "tgt": config.tgtdict}
    report = write_store(
        config,
        *(
            _side(language, side, config, dictionaries[side], options)
            for language, side in languages_of(texts_of(checked(config))).items()
        ),
    )
    for line in _summary(report, config):
        log.info("%s", line)
    for split in report.splits:
        for language, side in _sides(split):
            if not side.tokens:
                log.warning("every %s line of %s is empty", language, split.name)
    own_words = [
        language
        for language, side in languages_of(texts_of(checked(config))).items()
        if language != ABSENT and dictionaries[side] is None
        if not (config.source_vectors and side == "src")
    ]
    advice = subword_advice(report, own_words, options.entries["tokenizer"].base)
    if advice is not None:
        log.warning("%s", advice)
    return report


def _side(
    language: str, side: str, config: PreprocessConfig, dictionary: str | None, options: Resolved
) -> TokenizerSpec:
    """The tokenizer of a language: none for an absent source, or for one of vectors."""
    if language == ABSENT:
        return absent_side()
    if config.source_vectors and side == "src":
        from s2st.text.vector_files import open_vectors

        return vectors_side(language, open_vectors(config.source_vectors[0]).size)
    return _tokenizer(dictionary, language, options)


def _tokenizer(dictionary: str | None, language: str, options: Resolved) -> TokenizerSpec:
    """The tokenizer of a side: that of its dictionary's folder, or the chosen one."""
    spec = dictionary_tokenizer(dictionary, language) if dictionary else None
    if spec is None:
        entry, record = options.entries["tokenizer"], options.configs["tokenizer"]
        spec = TokenizerSpec(entry.base, record, language)
    return spec


def _summary(report: PreprocessReport, config: PreprocessConfig) -> Iterator[str]:
    """The counts of each split, the sizes of the vocabularies, and the folder."""
    for split in report.splits:
        yield from _split_summary(split, config)
    vectors = report.splits[0].source_language if config.source_vectors else ABSENT
    without_words = (ABSENT, vectors)
    sizes = [
        f"{n:,} {language} words"
        for language, n in report.words.items()
        if language not in without_words
    ]
    yield f"vocabulary: {', '.join(sizes)}"
    yield f"wrote {report.folder}"


def _split_summary(split: SplitReport, config: PreprocessConfig) -> Iterator[str]:
    what = "lines" if config.only_target else "pairs"
    yield f"{split.name}: {split.pairs:,} {what}"
    for language, side in _sides(split):
        if config.source_vectors and language == split.source_language:
            yield f"  {language}: {side.tokens:,} vectors"
            continue
        share = 100 * side.unknown / max(1, side.tokens)
        yield f"  {language}: {side.tokens:,} tokens, {side.unknown:,} unknown ({share:.2f} %)"
    if not split.name.startswith("train"):
        return
    if len(split.corpora) == 1:
        skipped = _skipped(split, config)
        if skipped:
            yield f"  skipped: {skipped}"
        return
    for corpus in split.corpora:
        skipped = _skipped(corpus, config)
        more = f"; skipped: {skipped}" if skipped else ""
        yield f"  corpus {corpus.name}: {corpus.pairs:,} {what}{more}"


def _sides(split: SplitReport) -> Iterator[tuple[str, SideCounts]]:
    """The languages that a split has, with their counts."""
    sides = ((split.source_language, split.source), (split.target_language, split.target))
    yield from ((language, side) for language, side in sides if language != ABSENT)


def _skipped(counts: SplitReport | CorpusCounts, config: PreprocessConfig) -> str:
    """The number of training pairs that each rule has skipped; "" if none was skipped."""
    what = "lines" if config.only_target else "pairs"
    empty = "without words" if config.only_target else "with an empty side"
    parts = []
    if counts.skipped_empty or counts.skipped_long:
        parts += [
            f"{counts.skipped_empty:,} {what} {empty}",
            f"{counts.skipped_long:,} longer than {config.max_length} tokens",
        ]
    if config.max_ratio is not None:
        parts.append(f"{counts.skipped_ratio:,} with a length ratio above {config.max_ratio:g}")
    if config.drop_copies:
        parts.append(f"{counts.skipped_copies:,} with equal lines")
    if config.drop_duplicates:
        parts.append(f"{counts.skipped_duplicates:,} duplicates")
    return ", ".join(parts)
