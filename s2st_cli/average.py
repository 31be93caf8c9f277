"""`s2st average`: a new checkpoint from the mean of several checkpoints' weights."""

import click

from s2st.errors import UsageError
from s2st.options.option_fields import MAX_WEIGHT
from s2st.process.torch_import import import_torch
from s2st_cli.click_options import Command
from s2st_cli.number_options import Number, NumberOption
from s2st_cli.terminal_output import say


@click.command(cls=Command)
@click.argument("checkpoints", metavar="CHECKPOINT...", nargs=-1, required=True)
@click.option(
    "-o", "--output-folder", "release", metavar="FOLDER", required=True, help="the folder to create"
)
@click.option(
    "--weight",
    cls=NumberOption,
    type=Number(float, 0, MAX_WEIGHT, open_minimum=True),
    multiple=True,
    help="weight of each checkpoint, in order; default: equal weights",
)
@click.option(
    "--last",
    cls=NumberOption,
    type=Number(int, 1, 1_000_000),
    help="average the last N numbered checkpoints of the training run whose save folder is "
    "CHECKPOINT",
)
def command(
    checkpoints: tuple[str, ...], release: str, weight: tuple[float, ...], last: int | None
) -> None:
    """Write the mean of the weights of each CHECKPOINT to a new FOLDER.

    The checkpoints must have the same architecture, options, vocabularies and tokenizers, as the
    checkpoints of one training run do. s2st computes the mean in float64. FOLDER contains no
    training state, like the output of `s2st export`.
    """
    if last is not None and len(checkpoints) > 1:
        raise UsageError("--last takes one save folder")
    import_torch()
    from s2st.jobs.average_checkpoints import average, average_last

    if last is None:
        average(checkpoints, weight, release)
    else:
        average_last(checkpoints[0], last, weight, release)
    say(f"wrote {release}, the mean of {last or len(checkpoints)} checkpoints")
