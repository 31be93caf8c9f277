"""The job of `s2st tune-length`: BLEU of a development set under many length penalties.

Importable without torch, so that wrong options are reported at once.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from s2st.errors import DataError, UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig, TuneLengthConfig
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import (
    check_vectors,
    refuse_shared_stdin,
    require_checkpoints,
    source_inputs,
    source_lines,
)
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.ranks import read_ranks
from s2st.process.torch_import import import_torch
from s2st.search.registry import BeamConfig
from s2st.text.line_files import aligned, read_lines

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class LengthRow:
    """The result of one length penalty.

    Attributes:
        lenpen: the penalty.
        bleu: BLEU of the development set, in percent.
        ratio: length of the translations divided by that of the references, as BLEU counts them.
        signature: sacreBLEU's signature.
    """

    lenpen: float
    bleu: float
    ratio: float
    signature: str


def tune_length(options: Resolved) -> Iterator[ReportLine]:
    """Translates the development set once, and measures BLEU under each length penalty.

    Args:
        options: resolved options of TUNE_LENGTH_SPEC.

    Yields:
        The report: records with `--format json`, text otherwise. No row is the best one if all
        have the same BLEU to two decimals. Only the first rank yields anything.

    Raises:
        UsageError: options are missing or contradict each other.
        DataError: the files have different numbers of lines, or none.
        S2STError: reading or loading fails.
    """
    config = options.config(TuneLengthConfig)
    require_checkpoints(options.config(ModelsConfig))
    inputs = source_inputs(config.source, config.source_vectors)
    source = config.source_vectors or config.source
    if source is None or not config.ref:
        raise UsageError("give --source FILE and --ref FILE: tuning needs both")
    refuse_shared_stdin(*inputs.values(), *config.ref)
    if not read_ranks().first:
        return
    sources = source_lines(source, vectors=config.source_vectors is not None)
    streams = [sources, *map(read_lines, config.ref)]
    rows = list(zip(*aligned([source, *config.ref], streams), strict=True))
    if not rows:
        raise DataError("the development set has no lines", source)
    found = _measure(options, list(rows[0]), [list(lines) for lines in rows[1:]])
    best = max(found, key=lambda row: (row.bleu, -row.lenpen))
    equal = all(f"{row.bleu:.2f}" == f"{best.bleu:.2f}" for row in found)
    if config.format == "text":
        yield f"lenpen   BLEU  length ratio   ({best.signature})"
    for row in found:
        chosen = row is best and not equal
        if config.format == "json":
            yield {**vars(row), "best": chosen}
        else:
            mark = "  <- best" if chosen else ""
            yield f"{row.lenpen:6.4g} {row.bleu:6.2f}  {row.ratio:12.3f}{mark}"
    if equal:
        log.warning(f"BLEU is {best.bleu:.2f} under every length penalty: nothing to choose")
        return
    gain = best.bleu - found[0].bleu
    log.info(
        f"use --lenpen {best.lenpen:g}: BLEU {best.bleu:.2f}, {gain:+.2f} over --lenpen 0 on these "
        "lines"
    )
    if best is found[-1]:
        log.warning("the best --lenpen is the largest that was tried; raise --max-lenpen")


def _measure(options: Resolved, sources: list[str], references: list[list[str]]) -> list[LengthRow]:
    """The result of each length penalty, from 0 on."""
    import_torch()
    from s2st.jobs.text_metrics import bleu_metric
    from s2st.jobs.translation_tasks import translate
    from s2st.process.device import setup_device
    from s2st.search.length_tuning import LengthTuningSearch

    config = options.config(TuneLengthConfig)
    metric = bleu_metric(config.tokenize, lowercase=False)
    lenpens = config.lenpens()
    device = setup_device(options.config(ScoringDeviceConfig))
    scorer = load_chosen_scorer(options, device)
    check_vectors(config.source_vectors, scorer)
    if scorer.source.absent:
        raise UsageError("tune-length needs a model with a source; this is a language model")
    search = LengthTuningSearch(options.config(BeamConfig), lenpens)
    texts: list[list[str]] = [[] for _ in lenpens]
    for translation in translate(scorer, search, [sources], config.batch_size, detokenize=True):
        # an empty line has one translation
        made = translation.texts if len(translation.texts) > 1 else translation.texts * len(texts)
        for column, text in zip(texts, made, strict=True):
            column.append(text)
    rows = []
    for lenpen, lines in zip(lenpens, texts, strict=True):
        score = metric.corpus_score(lines, references)
        ratio = score.sys_len / score.ref_len if score.ref_len else 0.0
        signature = metric.get_signature().format()
        rows.append(LengthRow(lenpen, float(score.score), ratio, signature))
    return rows
