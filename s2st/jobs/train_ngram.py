"""The job of `s2st train-ngram`: from options and text to an n-gram language model."""

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError
from s2st.ngram.options import NGramConfig
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.consistent_reads import is_folder
from s2st.text.line_files import read_lines
from s2st.text.tokenizers import INTERNAL, MODEL_KINDS, TOKENIZERS, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from s2st.ngram.train import NGramReport

NGRAM_SPEC = CommandSpec(
    fixed=(NGramConfig,),
    roles=(Role("tokenizer", TOKENIZERS, "none", "how lines become tokens", (), INTERNAL),),
)
log = logging.getLogger("s2st")


def train_ngram(options: Resolved, texts: Sequence[str], output: str) -> "NGramReport":
    """Train a model and log how many n-grams it has.

    Args:
        options: of NGRAM_SPEC.
        texts: paths of the text, "-" for standard input.
        output: the .arpa or .arpa.gz file to write.

    Raises:
        UsageError: options that do not go together.
        S2STError: files that cannot be read or written.
    """
    from s2st.ngram.train import train_ngrams

    config = options.config(NGramConfig)
    entry, record = options.entries["tokenizer"], options.configs["tokenizer"]
    spec = TokenizerSpec(entry.base, record, config.lang)
    vocabulary = None
    if config.dict is not None:
        if config.nwords is not None:
            raise UsageError("--dict and --nwords cannot be combined")
        spec, vocabulary = _dictionary(config.dict, spec)
    if spec.name in MODEL_KINDS and spec.model is None:
        raise UsageError(
            f"--tokenizer {spec.name} needs --dict: name a store or checkpoint that holds the model"
        )
    lines = chain.from_iterable(read_lines(text, config.encoding_errors) for text in texts)
    try:
        report = train_ngrams(lines, Path(output), config, spec, vocabulary)
    except DataError as error:
        if error.path is not None:
            raise
        raise DataError(str(error), " + ".join(texts)) from error
    log.info("%s tokens, including <s> and </s>", f"{report.tokens:,}")
    for order, size in enumerate(report.ngrams, start=1):
        log.info("%s %d-grams", f"{size:,}", order)
    log.info("wrote %s", Path(output))
    return report


def _dictionary(path: str, spec: TokenizerSpec) -> tuple[TokenizerSpec, Vocabulary]:
    """The vocabulary that --dict names, and its tokenizer where --dict is a folder."""
    from s2st.data.user_dictionaries import read_dictionary

    if is_folder(path) and not spec.language:
        raise UsageError(f"--dict {path}: add --lang to choose one of its languages")
    stored, vocabulary = read_dictionary(path, spec.language)
    return stored or spec, vocabulary
