"""`s2st report`: a study's or a training's folder as one HTML file."""

import os
from pathlib import Path

import click

from s2st.errors import UsageError
from s2st.options.registry import load_plugin
from s2st.process.torch_import import import_torch
from s2st_cli.click_options import Command
from s2st_cli.terminal_output import say


@click.command(cls=Command)
@click.argument("run_dir")
@click.option("-o", "--output-file", default="-", metavar="FILE", help="where to write")
@click.option(
    "--plugin", multiple=True, metavar="MODULE", help="import a module that the model needs"
)
@click.option(
    "--attention", nargs=2, metavar="SOURCE TARGET",
    help="files of a training's two languages: show the attention maps of their first short lines",
)  # fmt: skip
def command(
    run_dir: str, output_file: str, plugin: tuple[str, ...], attention: tuple[str, str] | None
) -> None:
    """Show RUN_DIR as one HTML file that needs nothing else.

    RUN_DIR is the folder of a study, which holds report.json, or the --save-dir of a training.
    """
    from s2st.analysis.html_page import render_page
    from s2st.analysis.report_records import Report
    from s2st.analysis.study_report import REPORT, read_study
    from s2st.text.whole_files import write_whole

    folder = Path(run_dir)
    report: Report
    if os.path.lexists(folder / REPORT):
        if attention is not None:
            raise UsageError("--attention is for a training: a study's report.json names figures")
        report = read_study(folder)
    else:
        for module in plugin:
            load_plugin(module)
        import_torch()
        from s2st.analysis.training_report import report_training

        report = report_training(folder, attention)
    page = render_page(report)
    write_whole(output_file, [page])
    if output_file != "-":
        say(f"wrote {output_file}")
