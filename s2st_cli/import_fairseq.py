"""`s2st import fairseq`: a checkpoint of a converted Transformer or LSTM of fairseq."""

import click

from s2st.jobs.import_model import import_fairseq
from s2st_cli.click_options import Command
from s2st_cli.import_options import folder_and_checkpoint


@click.command(cls=Command)
@folder_and_checkpoint
@click.option(
    "-s", "--source-lang", metavar="TEXT", help="source language; default: that of config.json"
)
@click.option(
    "-t", "--target-lang", metavar="TEXT", help="target language; default: that of config.json"
)
def command(folder: str, release: str, source_lang: str | None, target_lang: str | None) -> None:
    """Make a checkpoint of the Transformer or LSTM in FOLDER.

    FOLDER holds config.json, model.safetensors, and a dict.LANGUAGE.txt for each language. A script
    in docs/other-toolkits.md makes it from a checkpoint of fairseq, which is pickled.
    """
    import_fairseq(folder, release, source_lang, target_lang)
