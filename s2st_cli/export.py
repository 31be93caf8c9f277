"""`s2st export`: a checkpoint without its training state, for others to use."""

import sys
from pathlib import Path

import click

from s2st import durable
from s2st.errors import OutputError
from s2st_cli.startup import import_torch


@click.command()
@click.argument("checkpoint")
@click.argument("release")
def command(checkpoint: str, release: str) -> None:
    """Copy CHECKPOINT to the new folder RELEASE without optimiser and training state."""
    import_torch()
    import torch

    from s2st.models.saved import load_saved, write_manifest, write_model_files

    final = Path(release)
    if final.exists():
        raise OutputError(f"{final}: exists already; name a folder that does not")
    saved, model = load_saved(checkpoint, torch.device("cpu"), whole=True)
    weights = model.state_dict()
    with durable.new_folder(final) as folder:
        write_model_files(folder, saved.record, weights)
        write_manifest(folder, saved.record, saved.summary)
    print(f"s2st: wrote {final}", file=sys.stderr)
