"""Pretrained word vectors as initial embeddings of a model, and frozen embedding tables."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from s2st.errors import UsageError
from s2st.models.base import Seq2SeqModel
from s2st.text.vocabulary import Vocabulary
from s2st.text.word_vectors import WordVectors, read_vectors, vector_size
from s2st.training.options import EmbeddingsConfig

log = logging.getLogger("s2st")
WIDTHS = ("embedding_size", "hidden_size")  # an architecture's first of these is its table width


def with_vector_size(config: Any, files: EmbeddingsConfig) -> Any:
    """Fill in the width of the embeddings from the vectors where the config leaves it out.

    Args:
        config: the architecture's options.
        files: the files of word vectors.

    Returns:
        The config, with the width.

    Raises:
        InputMissingError, DataError: the width is left out, and a file cannot be read.
    """
    name = _width_name(config)
    if name is None or getattr(config, name) is not None or not files.paths():
        return config
    return replace(config, **{name: vector_size(next(iter(files.paths().values())))})


def _width_name(config: Any) -> str | None:
    return next((name for name in WIDTHS if hasattr(config, name)), None)


def begin_with_vectors(
    model: Seq2SeqModel,
    vocabularies: Mapping[str, Vocabulary],
    files: EmbeddingsConfig,
    config: Any,
) -> None:
    """Copy the word vectors into the embedding tables, and log how many words have one.

    Words without a vector keep their initial weights, and so do the special tokens.

    Args:
        model: the model with its initial weights.
        vocabularies: vocabulary of each side's table.
        files: the files of word vectors.
        config: the architecture's options, for messages.

    Raises:
        UsageError: the model has no such table, or its width differs.
        InputMissingError, DataError: a file cannot be used.
    """
    for side, table in _tables(model, files).items():
        path, vocabulary = files.paths()[side], vocabularies[side]
        if vector_size(path) != table.embedding_dim:
            width = (_width_name(config) or "width of the table").replace("_", "-")
            raise UsageError(
                f"{path}: its vectors have {vector_size(path)} numbers, but the {side} embeddings "
                f"have {table.embedding_dim}; use --{width} {vector_size(path)}, or other vectors"
            )
        rows = _rows(vocabulary, path, files.lowercase_embeddings)
        found = np.flatnonzero(rows[1] >= 0)
        with torch.no_grad():
            values = torch.from_numpy(rows[0].table[rows[1][found]])
            table.weight[torch.from_numpy(found)] = values.to(table.weight)
        _log_coverage(side, path, vocabulary, found)


def _tables(model: Seq2SeqModel, files: EmbeddingsConfig) -> dict[str, nn.Embedding]:
    """Return the embedding table of each side that has a file of vectors."""
    tables = model.embeddings()
    found = {}
    for side in files.paths():
        table = getattr(tables, side)
        if table is None:
            raise UsageError(f"--{side}-embeddings: this architecture has no {side} embeddings")
        found[side] = table
    if len(found) == 2 and found["source"] is found["target"]:
        if len(set(files.paths().values())) == 2:
            raise UsageError(
                "--source-embeddings and --target-embeddings: this model shares one table between "
                "the sides; give one file"
            )
        del found["source"]
    return found


def _rows(
    vocabulary: Vocabulary, path: str, lowercase: bool
) -> tuple[WordVectors, "np.ndarray[Any, np.dtype[np.int64]]"]:
    """Return a file's vectors, and the row among them of each word id, -1 for a word without."""
    words = vocabulary.tokens
    wanted = {*words[4:], *(word.lower() for word in words[4:] if lowercase)}
    vectors = read_vectors(path, wanted)
    places = {word: row for row, word in enumerate(vectors.words)}
    rows = [
        places.get(word, places.get(word.lower(), -1) if lowercase else -1) for word in words[4:]
    ]
    return vectors, np.array([-1] * 4 + rows, dtype=np.int64)


def _log_coverage(
    side: str, path: str, vocabulary: Vocabulary, found: "np.ndarray[Any, np.dtype[np.int64]]"
) -> None:
    words = len(vocabulary) - 4
    counts = np.array(vocabulary.counts, dtype=np.int64)
    log.log(
        logging.INFO if len(found) else logging.WARNING,
        "%s: vectors for %s of %s %s words (%.1f %%), %.1f %% of their running words",
        path, f"{len(found):,}", f"{words:,}", side, 100 * len(found) / max(1, words),
        100 * counts[found].sum() / max(1, counts.sum()),
    )  # fmt: skip


def check_files(files: EmbeddingsConfig) -> None:
    """Raise UsageError for --freeze-embeddings without a file of word vectors."""
    if files.freeze_embeddings and not files.paths():
        raise UsageError("--freeze-embeddings needs --source-embeddings or --target-embeddings")


def freeze_tables(model: Seq2SeqModel, files: EmbeddingsConfig) -> None:
    """Exclude the tables that have a file of vectors from training, if the options ask for it."""
    if files.freeze_embeddings:
        for table in _tables(model, files).values():
            table.weight.requires_grad_(False)
