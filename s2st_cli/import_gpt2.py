"""`s2st import gpt2`: a checkpoint of a GPT-2 model in the format of Hugging Face."""

import click

from s2st.jobs.import_model import import_gpt2
from s2st_cli.click_options import Command
from s2st_cli.import_options import folder_and_checkpoint


@click.command(cls=Command)
@folder_and_checkpoint
@click.option(
    "-t",
    "--target-lang",
    metavar="TEXT",
    default="en",
    show_default=True,
    help="language of the text",
)
def command(folder: str, release: str, target_lang: str) -> None:
    """Make a checkpoint of the language model in FOLDER.

    FOLDER holds config.json, model.safetensors, and tokenizer.json or vocab.json with merges.txt.
    The result is an ordinary checkpoint of the architecture transformer-lm. Its tokenizer needs the
    package tokenizers (pip install 's2st[huggingface]').
    """
    import_gpt2(folder, release, target_lang)
