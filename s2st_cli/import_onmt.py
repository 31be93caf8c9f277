"""`s2st import onmt`: a checkpoint of a converted model of OpenNMT-py."""

import click

from s2st.jobs.import_model import import_onmt
from s2st_cli.click_options import Command
from s2st_cli.import_options import folder_and_checkpoint


@click.command(cls=Command)
@folder_and_checkpoint
@click.option("-s", "--source-lang", metavar="TEXT", required=True, help="source language")
@click.option("-t", "--target-lang", metavar="TEXT", required=True, help="target language")
def command(folder: str, release: str, source_lang: str, target_lang: str) -> None:
    """Make a checkpoint of the Transformer, LSTM or GRU in FOLDER.

    FOLDER holds config.json, vocab.json and model.safetensors. A script in docs/other-toolkits.md
    makes it from a checkpoint of OpenNMT-py 3, which is pickled.
    """
    import_onmt(folder, release, source_lang, target_lang)
