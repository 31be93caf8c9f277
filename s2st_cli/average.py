"""`s2st average`: the mean of several checkpoints as a new one."""

import click

from s2st.errors import UsageError
from s2st.options.config import MOST_WEIGHT
from s2st.process.torch_import import import_torch
from s2st_cli.click_options import Command, Number, NumberOption
from s2st_cli.terminal_output import say


@click.command(cls=Command)
@click.argument("checkpoints", metavar="CHECKPOINT...", nargs=-1, required=True)
@click.option("-o", "--output", "release", metavar="FOLDER", required=True, help="the new folder")
@click.option(
    "--weight",
    cls=NumberOption,
    type=Number(float, 0, MOST_WEIGHT, open_minimum=True),
    multiple=True,
    help="one a checkpoint, in order",
)
@click.option(
    "--last",
    cls=NumberOption,
    type=Number(int, 1, 1_000_000),
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
    from s2st.jobs.average_checkpoints import average, last_checkpoints

    paths = list(checkpoints) if last is None else last_checkpoints(checkpoints[0], last)
    average(paths, weight, release)
    say(f"wrote {release}, the mean of {len(paths)} checkpoints")
