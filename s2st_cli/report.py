"""`s2st report`: the folder of a study, or training runs, as one HTML file."""

import click

from s2st_cli.click_options import Command


@click.command(cls=Command)
@click.argument("run_dir", nargs=-1, required=True)
@click.option("-o", "--output-file", default="-", metavar="FILE", help="output file")
@click.option(
    "--plugin", multiple=True, metavar="MODULE", help="import a module that the model needs"
)
@click.option(
    "--attention", nargs=2, metavar="SOURCE TARGET",
    help="source and target file: show the attention maps of their first short lines",
)  # fmt: skip
def command(
    run_dir: tuple[str, ...], output_file: str, plugin: tuple[str, ...],
    attention: tuple[str, str] | None,
) -> None:  # fmt: skip
    """Write one self-contained HTML file about RUN_DIR.

    RUN_DIR is the folder of a study, which holds report.json, or the --save-dir of a training
    run. Several training runs are compared on one page.
    """
    from s2st.analysis.report import write_report

    write_report(run_dir, output_file, plugin, attention)
