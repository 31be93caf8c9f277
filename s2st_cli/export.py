"""`s2st export`: a copy of a checkpoint without its training state."""

import click

from s2st.jobs.export_release import FORMATS, S2ST, export
from s2st_cli.click_options import Command


@click.command(cls=Command)
@click.argument("checkpoint")
@click.argument("release")
@click.option(
    "-s", "--source-lang", metavar="TEXT", help="source language, for a model with several"
)
@click.option(
    "-t",
    "--target-lang",
    metavar="TEXT",
    help="take out the decoder of this language from a model with --decoders per-language; for "
    "other formats, the language to translate to",
)
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default=S2ST,
    show_default=True,
    help="s2st: a checkpoint without training state; ctranslate2: a Transformer for CTranslate2; "
    "onnx: encoder and decoder step of any architecture as ONNX graphs; word2vec: the word vectors "
    "of both sides as text",
)
def command(
    checkpoint: str, release: str, source_lang: str | None, target_lang: str | None, format: str
) -> None:
    """Copy CHECKPOINT to the new folder RELEASE, without optimizer and training state.

    With --format, another program can use the model. Extras: s2st[ctranslate2], s2st[onnx].
    """
    export(checkpoint, release, source_lang, target_lang, format)
