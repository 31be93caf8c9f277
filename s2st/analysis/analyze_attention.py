"""The job of `s2st analyze attention`: the attention maps of one sentence as tables or records.

Importable without torch, so that wrong options are reported at once.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from s2st.analysis.options import AttentionConfig, MapsConfig
from s2st.errors import UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import refuse_shared_stdin, require_checkpoints
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st.text.line_files import read_line

if TYPE_CHECKING:
    from s2st.analysis.attention_map import AttentionMap

log = logging.getLogger("s2st")


def analyze_attention(options: Resolved, source: str | None) -> Iterator[ReportLine]:
    """Computes the attention maps of one line of the source.

    Args:
        options: of ATTENTION_SPEC.
        source: path of the source lines, "-" for standard input; None for a language model.

    Yields:
        The tables line by line, or one record for each map. The log-probability of the target is
        logged, and the figure is drawn at the end.

    Raises:
        UsageError: no checkpoint, a line that does not exist, or a model without such attention.
        S2STError: files that cannot be read, loaded or written.
    """
    config, models = options.config(AttentionConfig), options.config(ModelsConfig)
    require_checkpoints(models)
    refuse_shared_stdin(source or "", config.target or "")
    import_torch()
    from s2st.analysis.attention_map import attention_maps, draw_all
    from s2st.analysis.figures import require_matplotlib
    from s2st.process.device import setup_device

    if config.figure is not None:
        require_matplotlib()
    line = None if source is None else _line(source, config.line)
    target = None if config.target is None else _line(config.target, config.line)
    scorer = load_chosen_scorer(options, setup_device(options.config(ScoringDeviceConfig)))
    if source is None and not scorer.source.absent:
        raise UsageError("give the source lines: --source FILE")
    if scorer.source.absent and target is None:
        raise UsageError("a language model reads no source: give its text with --target FILE")
    search = options.entries["search"].build(options.configs["search"])
    maps = attention_maps(scorer, options.config(MapsConfig), line, target, search)
    yield from map(_record, maps) if config.format == "json" else _tables(maps)
    log.info("log-probability of the target %.4f", maps[0].log_prob)
    if config.figure is not None:
        log.info("wrote %s and %s", *draw_all(config.figure, maps, config.title))


def _line(path: str, number: int) -> str:
    """Line `number`, from 1, of a file; raises UsageError if the file is shorter."""
    line = read_line(path, number)
    if line is None:
        raise UsageError(f"{path}: has no line {number} (--line)")
    return line


def _tables(maps: "Sequence[AttentionMap]") -> Iterator[str]:
    """Of each map the words read, then one line for each row, separated by tabs.

    Several maps begin with their names, and an empty line comes between them.
    """
    for number, found in enumerate(maps):
        if number:
            yield ""
        yield "\t".join([found.name if len(maps) > 1 else "", *found.columns])
        for word, weights in zip(found.rows, found.weights.tolist(), strict=True):
            yield "\t".join([word, *(f"{weight:.4f}" for weight in weights)])


def _record(found: "AttentionMap") -> ReportLine:
    return {
        "part": found.part,
        "layer": found.layer,
        "head": found.head,
        "source": found.source,
        "target": found.target,
        "rows": found.rows,
        "columns": found.columns,
        "attention": found.weights.tolist(),
        "log_prob": found.log_prob,
    }
