"""`s2st train`: a store to checkpoints."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.train import RECIPES, TRAIN_SPEC, run_training
from s2st.options.resolution import Resolved
from s2st.process.ranks import read_ranks
from s2st.process.stop_signals import noted
from s2st.process.torch_import import import_torch
from s2st.training.observer import Observer
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.progress_display import BarObserver, LineObserver

HELP = """Train a model on DATA, the folder that `s2st preprocess` wrote.

The defaults train a reversed LSTM whose size fits the corpus, with dropout, Adam, a learning rate
that drops when the validation perplexity stops improving, and early stopping. To resume a stopped
training, run the same command again. `--recipe sutskever2014` sets all options as in the paper.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Trains with a progress display."""
    import_torch()
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(noted())
        observer: Observer = LineObserver()
        if sys.stderr.isatty() and read_ranks().first:
            bar = BarObserver()
            stack.enter_context(bar.progress)
            observer = bar
        run_training(extra["data"], options, observer, stop)


command = ConfiguredCommand(
    "train", TRAIN_SPEC, run, HELP, extra=[click.Argument(["data"])], recipes=RECIPES
)
