"""`s2st export`: a copy of a checkpoint without its training state."""

import click

from s2st.jobs.export_release import export
from s2st_cli.click_options import Command


@click.command(cls=Command)
@click.argument("checkpoint")
@click.argument("release")
def command(checkpoint: str, release: str) -> None:
    """Copy CHECKPOINT to the new folder RELEASE, without optimizer and training state."""
    export(checkpoint, release)
