"""The job of `s2st preprocess`: from options to a store, and the counts of what it holds."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from s2st.data.dictionaries import dictionary_tokenizer
from s2st.data.preprocess import PreprocessReport, SplitReport, write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.jobs.vocabulary_advice import subword_advice
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.ranks import read_ranks
from s2st.text.tokenizers import TOKENIZERS, TokenizerSpec, absent_side

PREPROCESS_SPEC = CommandSpec(
    fixed=(PreprocessConfig,),
    roles=(Role("tokenizer", TOKENIZERS, "none", "how lines become tokens"),),
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
    source = absent_side()
    if not config.only_target:
        source = _tokenizer(config.srcdict, config.source_lang, options)
    target = _tokenizer(config.tgtdict, config.target_lang, options)
    report = write_store(config, source, target)
    for line in _summary(report, config):
        log.info("%s", line)
    own_words = [("target", config.target_lang)] if config.tgtdict is None else []
    if config.srcdict is None and not config.only_target:
        own_words.insert(0, ("source", config.source_lang))
    advice = subword_advice(report, own_words, options.entries["tokenizer"].base)
    if advice is not None:
        log.warning("%s", advice)
    return report


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
    sizes = [f"{report.target_words:,} {config.target_lang} words"]
    if not config.only_target:
        sizes.insert(0, f"{report.source_words:,} {config.source_lang} words")
    yield f"vocabulary: {', '.join(sizes)}"
    yield f"wrote {report.folder}"


def _split_summary(split: SplitReport, config: PreprocessConfig) -> Iterator[str]:
    what = "lines" if config.only_target else "pairs"
    yield f"{split.name}: {split.pairs:,} {what}"
    sides = [(config.target_lang, split.target)]
    if not config.only_target:
        sides.insert(0, (config.source_lang, split.source))
    for language, side in sides:
        share = 100 * side.unknown / max(1, side.tokens)
        yield f"  {language}: {side.tokens:,} tokens, {side.unknown:,} unknown ({share:.2f} %)"
    if split.skipped_empty or split.skipped_long:
        empty = "without words" if config.only_target else "with an empty side"
        yield (
            f"  skipped: {split.skipped_empty:,} {what} {empty}, "
            f"{split.skipped_long:,} longer than {config.max_length} tokens"
        )
