"""`s2st import`: a group of commands that make checkpoints of other programs' models."""

from typing import ClassVar

import click

from s2st_cli.lazy_group import LazyGroup


class _Imports(LazyGroup):
    """The group; the command NAME is in the module s2st_cli/import_NAME.py."""

    prefix = "s2st_cli.import_"
    lines: ClassVar = {
        "marian": "a translation model of Marian (OPUS-MT), as Hugging Face stores it",
        "fairseq": "a Transformer or LSTM of fairseq, converted to safetensors",
        "onmt": "a Transformer, LSTM or GRU of OpenNMT-py, converted to safetensors",
        "gpt2": "a GPT-2 language model, as Hugging Face stores it",
    }


@click.command(name="import", cls=_Imports)
def command() -> None:
    """Make a checkpoint of a model that another program trained.

    The checkpoint works in all commands: generate, score, rescore-nbest, train --finetune-from.
    Weights must be in safetensors files: s2st loads no pickled file.
    """
