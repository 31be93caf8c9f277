"""The job of `s2st analyze attention`: the attention map of one sentence as a table or a record.

Importable without torch, so that wrong options are reported at once.
"""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s2st.analysis.options import AttentionConfig
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


def analyze_attention(options: Resolved, source: str) -> Iterator[ReportLine]:
    """Computes the attention map of one line of the source.

    Args:
        options: of ATTENTION_SPEC.
        source: path of the source lines, "-" for standard input.

    Yields:
        The table line by line, or one record. The log-probability of the target is logged, and
        the figure is drawn at the end.

    Raises:
        UsageError: no checkpoint, a line that does not exist, or a model without attention.
        S2STError: files that cannot be read, loaded or written.
    """
    config, models = options.config(AttentionConfig), options.config(ModelsConfig)
    require_checkpoints(models)
    refuse_shared_stdin(source, config.target or "")
    import_torch()
    from s2st.analysis.attention_map import draw_attention, forced_map, searched_map
    from s2st.analysis.figures import require_matplotlib
    from s2st.process.device import setup_device

    if config.figure is not None:
        require_matplotlib()
    line = _line(source, config.line)
    target = None if config.target is None else _line(config.target, config.line)
    scorer = load_chosen_scorer(options, setup_device(options.config(ScoringDeviceConfig)))
    if target is not None:
        found = forced_map(scorer, line, target)
    else:
        search = options.entries["search"].build(options.configs["search"])
        found = searched_map(scorer, search, line)
    yield from [_record(found)] if config.format == "json" else _table(found)
    log.info("log-probability of the target %.4f", found.log_prob)
    if config.figure is not None:
        log.info("wrote %s and %s", *draw_attention(config.figure, found))


def _line(path: str, number: int) -> str:
    """Line `number`, from 1, of a file; raises UsageError if the file is shorter."""
    line = read_line(path, number)
    if line is None:
        raise UsageError(f"{path}: has no line {number} (--line)")
    return line


def _table(found: "AttentionMap") -> Iterator[str]:
    """The source words, then one line for each target word, separated by tabs."""
    yield "\t".join(["", *found.source])
    for word, weights in zip(found.target, found.weights.tolist(), strict=True):
        yield "\t".join([word, *(f"{weight:.4f}" for weight in weights)])


def _record(found: "AttentionMap") -> ReportLine:
    return {
        "source": found.source,
        "target": found.target,
        "attention": found.weights.tolist(),
        "log_prob": found.log_prob,
    }
