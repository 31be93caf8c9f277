"""`s2st export`: a checkpoint without its training state, for others to use."""

import os
from pathlib import Path

import click

from s2st.errors import OutputError
from s2st.process import durable_files
from s2st.process.torch_import import import_torch
from s2st_cli.click_options import Command
from s2st_cli.terminal_output import say


@click.command(cls=Command)
@click.argument("checkpoint")
@click.argument("release")
def command(checkpoint: str, release: str) -> None:
    """Copy CHECKPOINT to the new folder RELEASE without optimiser and training state."""
    import_torch()
    import torch

    from s2st.models.model_files import read_saved, write_manifest, write_model_files

    final = Path(release)
    if os.path.lexists(final):
        raise OutputError(f"{final}: already exists; name a folder that does not")
    saved = read_saved(checkpoint)
    weights = saved.load(torch.device("cpu")).state_dict()
    with durable_files.new_folder(final) as folder:
        write_model_files(folder, saved.record, weights)
        write_manifest(folder, saved.record, saved.summary)
    say(f"wrote {final}")
