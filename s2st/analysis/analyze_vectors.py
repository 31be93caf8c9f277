"""The job of `s2st analyze vectors`: the sentence vector of each line, as numbers.

Importable without torch, so that wrong options are reported at once.
"""

import io
import logging
from collections.abc import Iterator

from s2st.analysis.options import VectorsConfig
from s2st.errors import DataError, UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import require_checkpoints
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines
from s2st.text.overwrite_checks import check_destinations

log = logging.getLogger("s2st")


def analyze_vectors(options: Resolved, source: str) -> Iterator[ReportLine]:
    """Compute the encoder's final state of each line: the context vector of the decoder.

    Args:
        options: of VECTORS_SPEC.
        source: path of the lines, "-" for standard input.

    Yields:
        For each line its numbers with spaces between them, or a record if the format is "json".
        Nothing with `npy`: that file gets a table (N, D) of float32.

    Raises:
        UsageError: options that do not go together, or a model without such vectors.
        DataError: there are no lines.
        S2STError: files that cannot be read, loaded or written.
    """
    config = options.config(VectorsConfig)
    paths = require_checkpoints(options.config(ModelsConfig))
    if config.npy is not None:
        if config.format != "text":
            raise UsageError("--npy and --format json cannot be combined")
        check_destinations([config.npy], [], [source, *paths])
    import_torch()
    import numpy as np

    from s2st.analysis.sentence_vectors import sentence_vectors
    from s2st.process.device import setup_device

    lines = list(read_lines(source))
    if not lines:
        raise DataError("no lines", "standard input" if source == "-" else source)
    scorer = load_chosen_scorer(options, setup_device(options.config(ScoringDeviceConfig)))
    vectors = sentence_vectors(scorer, lines, config.part)
    if config.npy is not None:
        buffer = io.BytesIO()
        np.save(buffer, vectors.astype(np.float32))
        write_whole(config.npy, [buffer.getvalue()])
        log.info("wrote %s: %d vectors of %d numbers", config.npy, *vectors.shape)
        return
    for line, row in zip(lines, vectors.tolist(), strict=True):
        if config.format == "json":
            yield {"text": line, "vector": row}
        else:  # rounded first, so that no number is printed as -0.000000
            yield " ".join(f"{round(value, 6) + 0.0:.6f}" for value in row)
