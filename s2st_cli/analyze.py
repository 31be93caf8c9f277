"""`s2st analyze`: a group of commands that describe systems in tables and figures."""

from typing import ClassVar

import click

from s2st_cli.lazy_group import LazyGroup


class _Analyses(LazyGroup):
    """The group; the command NAME is in the module s2st_cli/analyze_NAME.py."""

    prefix = "s2st_cli.analyze_"
    aliases: ClassVar = {"neighbours": "neighbors"}
    lines: ClassVar = {
        "lengths": "BLEU against sentence length",
        "rarity": "BLEU against the rarity of a sentence's words",
        "attention": "the attention map of one sentence",
        "gradients": "gradients from target words to source words, and the lags between them",
        "states": "the encoder states of phrases in two dimensions",
        "vectors": "the encoder state of each line as numbers",
        "neighbors": "the words with the most similar embeddings",
    }


@click.command(name="analyze", cls=_Analyses)
def command() -> None:
    """Analyze what systems translate well, and what a model's states and embeddings encode.

    The commands print tables on stdout. --figure NAME also draws NAME.svg and NAME.png; it needs
    matplotlib (pip install 's2st[analysis]').
    """
