"""`s2st import marian`: a checkpoint of a Marian model in the format of Hugging Face."""

import click

from s2st.jobs.import_model import import_marian
from s2st_cli.click_options import Command
from s2st_cli.import_options import folder_and_checkpoint


@click.command(cls=Command)
@folder_and_checkpoint
@click.option(
    "-s",
    "--source-lang",
    metavar="TEXT",
    help="source language; default: what tokenizer_config.json says",
)
@click.option(
    "-t",
    "--target-lang",
    metavar="TEXT",
    multiple=True,
    help="target language, default as for --source-lang; of a model with several target "
    "languages, one to keep, as the vocabulary spells it (fra for >>fra<<); can be repeated",
)
def command(
    folder: str, release: str, source_lang: str | None, target_lang: tuple[str, ...]
) -> None:
    """Make a checkpoint of the model in FOLDER, such as an OPUS-MT model.

    FOLDER holds config.json, model.safetensors, source.spm, target.spm and vocab.json. The result
    is an ordinary checkpoint of the architecture transformer.
    """
    import_marian(folder, release, source_lang, target_lang)
