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
    run_dirs: Sequence[str],
    output: str,
    plugins: Sequence[str] = (),
    attention: tuple[str, str] | None = None,
) -> None:
    """Writes the HTML file.

    Args:
        run_dirs: the folder of a study, which holds REPORT, or save folders of trainings; several
            trainings are shown on one page.
        output: path of the HTML file, "-" for standard output.
        plugins: modules that the model of a training needs.
        attention: source and target file whose attention maps a training's report shows.

    Raises:
        UsageError: `attention` with a study or several trainings, a study among several folders,
            or a plugin that cannot be loaded.
        S2STError: files that cannot be read or written.
    """
    folders = [Path(run_dir) for run_dir in run_dirs]
    report: Report
    studies = [folder for folder in folders if os.path.lexists(folder / REPORT)]
    if studies and len(folders) > 1:
        raise UsageError(f"{studies[0]}: holds {REPORT} (a study); report it alone")
    if attention is not None and (studies or len(folders) > 1):
        raise UsageError(
            "--attention needs one training; the report.json of a study names its own figures"
        )
    if studies:
        report = read_study(studies[0])
    else:
        for module in plugins:
            load_plugin(module)
        import_torch()
        from s2st.analysis.training_comparison import report_trainings
        from s2st.analysis.training_report import report_training

        one = len(folders) == 1
        report = report_training(folders[0], attention) if one else report_trainings(folders)
    write_whole(output, [render_page(report)])
    if output != "-":
        log.info("wrote %s", output)
