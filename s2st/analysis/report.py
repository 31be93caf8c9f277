"""The job of `s2st report`: the folder of a study or a training as one HTML file."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from s2st.analysis.html_page import render_page
from s2st.analysis.report_document import Report
from s2st.analysis.study_report_reader import REPORT, read_study
from s2st.errors import UsageError
from s2st.options.registry import load_plugin
from s2st.process.torch_import import import_torch
from s2st.text.atomic_text_output import write_whole

log = logging.getLogger("s2st")


def write_report(
    run_dir: str,
    output: str,
    plugins: Sequence[str] = (),
    attention: tuple[str, str] | None = None,
) -> None:
    """Writes the HTML file.

    Args:
        run_dir: the folder of a study, which holds REPORT, or the save folder of a training.
        output: path of the HTML file, "-" for standard output.
        plugins: modules that the model of a training needs.
        attention: source and target file whose attention maps a training's report shows.

    Raises:
        UsageError: `attention` with a study, or a plugin that cannot be loaded.
        S2STError: files that cannot be read or written.
    """
    folder = Path(run_dir)
    report: Report
    if os.path.lexists(folder / REPORT):
        if attention is not None:
            raise UsageError(
                "--attention needs a training; the report.json of a study names its own figures"
            )
        report = read_study(folder)
    else:
        for module in plugins:
            load_plugin(module)
        import_torch()
        from s2st.analysis.training_report import report_training

        report = report_training(folder, attention)
    write_whole(output, [render_page(report)])
    if output != "-":
        log.info("wrote %s", output)
