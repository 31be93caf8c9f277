"""`s2st average`: the mean of several checkpoints as a new one."""

import sys

import click

from s2st.errors import UsageError
from s2st_cli.startup import import_torch


@click.command()
@click.argument("checkpoints", metavar="CHECKPOINT...", nargs=-1, required=True)
@click.option("-o", "--output", "release", metavar="FOLDER", required=True, help="the new folder")
@click.option("--weight", type=float, multiple=True, metavar="X", help="one a checkpoint, in order")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    metavar="N",
    help="CHECKPOINT is the save folder of a training: average its last N numbered checkpoints",
)
def command(
    checkpoints: tuple[str, ...], release: str, weight: tuple[float, ...], last: int | None
) -> None:
    """Write the mean of the weights of each CHECKPOINT to a new FOLDER.

    They must share architecture, options, vocabularies and tokenisers, as those of one training
    do. FOLDER is a release as `s2st export` makes it. The mean is made in float64.
    """
    if last is not None and len(checkpoints) > 1:
        raise UsageError("--last takes one save folder")
    import_torch()
    from s2st.pipelines.average import average, average_last

    if last is None:
        average(checkpoints, weight, release)
    else:
        average_last(checkpoints[0], last, weight, release)
    count = last or len(checkpoints)
    print(f"s2st: wrote {release}, the mean of {count} checkpoints", file=sys.stderr)
