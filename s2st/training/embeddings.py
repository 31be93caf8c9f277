"""Word vectors from outside in a new model's embedding tables, and tables that are not trained."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from s2st import durable
from s2st.errors import InputMissingError, UsageError
from s2st.models.base import Seq2SeqModel
from s2st.reading import why_not
from s2st.snapshots import note_path
from s2st.text.vectors import WordVectors, read_vectors, vector_size
from s2st.text.vocabulary import Vocabulary
from s2st.training.config import EmbeddingsConfig

log = logging.getLogger("s2st")
WIDTHS = ("embedding_size", "hidden_size")  # the first that an architecture has is its tables'


def with_vector_size(config: Any, files: EmbeddingsConfig) -> Any:
    """The architecture's config, the width of its embeddings, if left out, that of the vectors.

    Raises:
        InputMissingError, DataError: the width is left out, and a file cannot be read.
    """
    name = _width_name(config)
    if name is None or getattr(config, name) is not None or not files.paths():
        return config
    return replace(config, **{name: vector_size(next(iter(files.paths().values())))})


def _width_name(config: Any) -> str | None:
    return next((name for name in WIDTHS if hasattr(config, name)), None)


def file_hashes(files: EmbeddingsConfig) -> dict[str, str]:
    """Option name -> sha256 of each file that is there; raises InputMissingError."""
    found = {}
    for side, path in files.paths().items():
        if Path(path).is_file():
            try:
                note_path(path)
                found[f"{side}_embeddings"] = f"sha256:{durable.sha256_of(Path(path))}"
            except OSError as error:
                message = f"{path}: cannot be read: {why_not(path, error)}"
                raise InputMissingError(message) from error
    return found


def begin_with_vectors(
    model: Seq2SeqModel,
    vocabularies: Mapping[str, Vocabulary],
    files: EmbeddingsConfig,
    config: Any,
) -> None:
    """Puts the files' vectors into the tables' rows and logs how many words have one.

    Words without a vector, and the special tokens, keep their weights.

    Args:
        model: with its initial weights.
        vocabularies: of the tables' rows, by side.
        files: where the vectors are.
        config: the architecture's, for messages.

    Raises:
        UsageError: the model has no such table, or one of another width.
        InputMissingError, DataError: a file that cannot be used.
    """
    for side, table in _tables(model, files).items():
        path, vocabulary = files.paths()[side], vocabularies[side]
        if vector_size(path) != table.embedding_dim:
            width = (_width_name(config) or "width of the table").replace("_", "-")
            raise UsageError(
                f"{path}: its words have {vector_size(path)} numbers, the {side} embeddings "
                f"{table.embedding_dim}; use --{width} {vector_size(path)}, or other vectors"
            )
        rows = _rows(vocabulary, path, files.lowercase_embeddings)
        found = np.flatnonzero(rows[1] >= 0)
        with torch.no_grad():
            values = torch.from_numpy(rows[0].table[rows[1][found]])
            table.weight[torch.from_numpy(found)] = values.to(table.weight)
        _tell_coverage(side, path, vocabulary, found)


def _tables(model: Seq2SeqModel, files: EmbeddingsConfig) -> dict[str, nn.Embedding]:
    """The table of each side that has a file."""
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
                "--source-embeddings and --target-embeddings: this model has one table for both "
                "sides; give one file"
            )
        del found["source"]
    return found


def _rows(
    vocabulary: Vocabulary, path: str, lowercase: bool
) -> tuple[WordVectors, "np.ndarray[Any, np.dtype[np.int64]]"]:
    """A file's vectors of a vocabulary's words, and each id's row among them, -1 for none."""
    words = vocabulary.tokens
    wanted = {*words[4:], *(word.lower() for word in words[4:] if lowercase)}
    vectors = read_vectors(path, wanted)
    places = {word: row for row, word in enumerate(vectors.words)}
    rows = [
        places.get(word, places.get(word.lower(), -1) if lowercase else -1) for word in words[4:]
    ]
    return vectors, np.array([-1] * 4 + rows, dtype=np.int64)


def _tell_coverage(
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
    """Raises UsageError where tables are to be frozen, and no file of vectors is named."""
    if files.freeze_embeddings and not files.paths():
        raise UsageError("--freeze-embeddings needs --source-embeddings or --target-embeddings")


def freeze_tables(model: Seq2SeqModel, files: EmbeddingsConfig) -> None:
    """Keeps training from changing the tables that begin with vectors from outside."""
    if files.freeze_embeddings:
        for table in _tables(model, files).values():
            table.weight.requires_grad_(False)
