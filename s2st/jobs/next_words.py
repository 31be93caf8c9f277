"""The job of `s2st score --next`: the table of next words after a prefix.

Importable without torch, so that wrong options are reported at once.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig, ScoreConfig
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import (
    check_vectors,
    require_checkpoints,
    source_inputs,
    source_lines,
)
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.ranks import read_ranks
from s2st.process.torch_import import import_torch

if TYPE_CHECKING:
    from s2st.scoring.base import Scorer
    from s2st.scoring.next_words import NextWords

log = logging.getLogger("s2st")


def next_word_tables(options: Resolved, hyps: Sequence[str], output: str) -> Iterator[ReportLine]:
    """Yield the most probable next words, one table for each source line.

    Args:
        options: of SCORE_SPEC. A model that translates needs `source` or `source_vectors`, a
            language model neither.
        hyps: the arguments HYP, of which there must be none.
        output: the value of --output-file, which must be "-".

    Yields:
        A record for each table if the format is "json". Otherwise lines with probability,
        log-probability and word, with tabs between; an empty line separates two tables. Only the
        first rank yields anything.

    Raises:
        UsageError: options that do not go together.
        DataError: `source` has no lines.
        S2STError: files that cannot be read or loaded.
    """
    config = options.config(ScoreConfig)
    assert config.next is not None
    if hyps or config.ref or config.target or config.resume or output != "-":
        raise UsageError(
            "--next cannot be combined with HYP, --ref, --target, --output-file or --resume"
        )
    require_checkpoints(options.config(ModelsConfig))
    source_inputs(config.source, config.source_vectors)
    if not read_ranks().first:
        return
    import_torch()
    from s2st.process.device import setup_device

    scorer = load_chosen_scorer(options, setup_device(options.config(ScoringDeviceConfig)))
    check_vectors(config.source_vectors, scorer)
    sources = _sources(config)
    found = words_after(scorer, config.next, sources, config.next_words)
    for number, table in enumerate(found):
        if not number and table.unknown:
            log.warning("--next: the model does not know %s", " ".join(table.unknown))
        yield from _record(number, table) if config.format == "json" else _lines(number, table)


def _sources(config: ScoreConfig) -> list[str] | None:
    """Return the source lines, or lines of vectors; None if the user names no source."""
    path = config.source_vectors or config.source
    if path is None:
        return None
    lines = list(source_lines(path, vectors=config.source_vectors is not None))
    if not lines:
        raise DataError("no lines", path)
    return lines


def words_after(
    scorer: "Scorer", prefix: str, sources: Sequence[str] | None, count: int
) -> "Iterator[NextWords]":
    """Yield the next words after a prefix; see `s2st.scoring.next_words`.

    Args:
        sources: the source lines; None for a language model.

    Raises:
        UsageError: the model needs a source, or predicts the last word first.
    """
    from s2st.scoring.next_words import next_words

    if scorer.source.absent:
        if sources is not None:
            log.info("the model reads no source: the source is ignored")
        sources = [""]
    elif sources is None:
        raise UsageError("the model translates: the next word depends on a source (--source FILE)")
    yield from next_words(scorer, sources, prefix, count)


def _record(number: int, table: "NextWords") -> list[ReportLine]:
    pairs = zip(table.words, table.log_probs, strict=True)
    words = [
        {"token": word, "probability": math.exp(value), "log_prob": value} for word, value in pairs
    ]
    return [{"line": number, "prefix": list(table.prefix), "next": words}]


def _lines(number: int, table: "NextWords") -> list[ReportLine]:
    pairs = zip(table.words, table.log_probs, strict=True)
    rows = [f"{math.exp(value):.6f}\t{value:.6f}\t{word}" for word, value in pairs]
    return [*([""] if number else []), *rows]
