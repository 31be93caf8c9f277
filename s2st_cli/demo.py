"""`s2st demo`: all steps on a small corpus, with the commands that a user types."""

import click

from s2st.jobs.demo import MOST_PAIRS, DemoConfig, run_demo
from s2st.options.config import MOST_INTEGER
from s2st_cli.click_options import Command, Number, NumberOption
from s2st_cli.terminal_output import narrate, show_lines


@click.command(cls=Command)
@click.option(
    "--dir",
    "folder",
    default="s2st-demo",
    metavar="FOLDER",
    show_default=True,
    help="folder to create",
)
@click.option(
    "--train-size",
    cls=NumberOption,
    type=Number(int, 1, MOST_PAIRS),
    default=20000,
    help="training pairs",
)
@click.option(
    "--test-size",
    cls=NumberOption,
    type=Number(int, 1, MOST_PAIRS),
    default=500,
    help="test pairs, and as many validation pairs; the three sets share 21,000 pairs",
)
@click.option(
    "--max-epoch",
    cls=NumberOption,
    type=Number(int, 1, 1_000_000),
    default=8,
    help="epochs of the two LSTMs",
)
@click.option(
    "--seed",
    cls=NumberOption,
    type=Number(int, 0, MOST_INTEGER),
    default=1,
    help="random seed of the models",
)
def command(folder: str, train_size: int, test_size: int, max_epoch: int, seed: int) -> None:
    """Train, translate and rescore on a small English-French corpus that s2st ships.

    The demo runs preprocess, train, generate, score and rescore-nbest, and prints every command
    before it runs. It takes a few minutes on two CPU cores.
    """
    show_lines(run_demo(folder, DemoConfig(train_size, test_size, max_epoch, seed), narrate))
