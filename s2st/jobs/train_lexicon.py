"""The job of `s2st train-lexicon`: from the training pairs of a store to word translations."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2st.errors import OutputError, UsageError, reason
from s2st.lexicon.options import LexiconConfig
from s2st.options.resolution import CommandSpec, Resolved

if TYPE_CHECKING:
    from s2st.data.parallel_corpus import ParallelCorpus
    from s2st.data.store import Store

LEXICON_SPEC = CommandSpec(fixed=(LexiconConfig,))
log = logging.getLogger("s2st")


def train_lexicon(options: Resolved, data: str, output: str) -> None:
    """Estimate the translation probabilities of words, and write the lexicon.

    Args:
        options: of LEXICON_SPEC.
        data: folder of the store.
        output: the file to write, "-" for standard output; compressed if its name ends in .gz.

    Raises:
        UsageError: the store has several pairs and the options name none, or it has no source.
        S2STError: files that cannot be read or written.
    """
    from s2st.data.store import Store
    from s2st.lexicon.lexicon_files import lexicon_lines
    from s2st.lexicon.model1 import LONGEST, train_model1
    from s2st.text.atomic_text_output import write_whole

    config = options.config(LexiconConfig)
    store = Store(data)
    corpora = _corpora(store, config)
    languages = corpora[0].source_language, corpora[0].target_language
    source, target = (store.vocabularies[language] for language in languages)
    parent = config.temporary_folder or ("." if output == "-" else str(Path(output).parent))
    try:
        folder = tempfile.TemporaryDirectory(prefix=".train-lexicon.", dir=parent)
    except OSError as error:
        raise OutputError(f"{parent}: cannot be written: {reason(error)}") from error
    with folder as place:
        table = train_model1(
            corpora, (len(source), len(target)), config.iterations, Path(place),
            config.memory << 20, _report,
        )  # fmt: skip
        if table.skipped:
            log.warning(
                "%s pairs have more than %d words and were left out", f"{table.skipped:,}", LONGEST
            )
        write_whole(output, lexicon_lines(table, source, target, config.min_probability))
        del table  # its files are in the folder
    if output != "-":
        log.info("wrote %s", Path(output))


def _report(iteration: int, perplexity: float) -> None:
    log.info("iteration %d: perplexity %.2f before it", iteration, perplexity)


def _corpora(store: "Store", config: LexiconConfig) -> "Sequence[ParallelCorpus]":
    """Return the training corpora of the language pair that the options name."""
    from s2st.data.corpora import training_split
    from s2st.text.tokenizers import ABSENT

    found = [
        part
        for part in training_split(store).parts
        if config.source_lang in (None, part.source_language)
        and config.target_lang in (None, part.target_language)
    ]
    pairs = {(part.source_language, part.target_language) for part in found}
    if len(pairs) != 1:
        known = ", ".join(f"{source}-{target}" for source, target in store.pairs)
        raise UsageError(
            f"{store.folder}: choose one of its language pairs ({known}) by --source-lang and "
            "--target-lang"
        )
    if next(iter(pairs))[0] == ABSENT:
        raise UsageError(f"{store.folder}: has one language only, so that nothing is translated")
    if store.source_tokenizer.vector_size:
        raise UsageError(f"{store.folder}: its sources are vectors, which have no translations")
    return found
