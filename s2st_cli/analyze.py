"""`s2st analyze`: pictures and tables of what a system does; a group of commands."""

from typing import ClassVar

import click

from s2st_cli.lazy_group import LazyGroup


class _Analyses(LazyGroup):
    """The analyses, each a module s2st_cli/analyze_NAME.py."""

    prefix = "s2st_cli.analyze_"
    lines: ClassVar = {
        "lengths": "BLEU against sentence length",
        "rarity": "BLEU against how rare a sentence's words are",
        "attention": "what the words of a translation attend to, as a map",
        "states": "a model's states of phrases, in two dimensions",
        "neighbours": "the words whose embeddings are most alike",
    }


@click.command(name="analyze", cls=_Analyses)
def command() -> None:
    """Where a system is good and what its states hold.

    Tables go to stdout; --figure NAME draws NAME.svg and NAME.png (needs matplotlib: pip install
    's2st[analysis]').
    """
