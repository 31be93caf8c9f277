"""`s2st export`: a checkpoint without its training state, for others to use."""

import os
import sys
from pathlib import Path

import click

from s2st import durable
from s2st.errors import OutputError


@click.command()
@click.argument("checkpoint")
@click.argument("release")
def command(checkpoint: str, release: str) -> None:
    """Copy CHECKPOINT to the new folder RELEASE without optimiser and training state."""
    import torch

    from s2st.models.saved import read_saved, write_manifest, write_model_files

    final = Path(release)
    if final.exists():
        raise OutputError(f"{final}: exists already; name a folder that does not")
    saved = read_saved(checkpoint)
    weights = saved.load(torch.device("cpu")).state_dict()
    durable.make_folder(final.parent)
    temporary = final.parent / f".{final.name}.tmp-{os.getpid()}"
    durable.make_folder(temporary)
    try:
        write_model_files(temporary, saved.record, weights)
        write_manifest(temporary, saved.record, saved.summary)
        durable.publish(temporary, final)
    finally:
        durable.remove_folder(temporary)
    print(f"s2st: wrote {final}", file=sys.stderr)
