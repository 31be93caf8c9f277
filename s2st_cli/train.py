"""`s2st train`: a store to checkpoints."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from s2st.errors import UsageError
from s2st.jobs.reusable_config import command_config
from s2st.jobs.train import TRAIN_SPEC, estimate_training, run_training
from s2st.jobs.training_recipes import RECIPES
from s2st.options.resolution import Resolved
from s2st.process.ranks import read_ranks
from s2st.process.stop_signals import noted
from s2st.process.torch_import import import_torch
from s2st.training.observer import Observer
from s2st.training.options import DryRunConfig
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.progress_display import BarObserver, LineObserver
from s2st_cli.terminal_output import show_lines

HELP = """Train a model on DATA, the folder that `s2st preprocess` wrote.

The defaults train a reversed LSTM whose size fits the corpus, with dropout, Adam, a learning rate
that drops when the validation perplexity stops improving, and early stopping. To resume a stopped
run, repeat the same command. `--recipe sutskever2014` sets all options as in the paper.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Train with a progress display."""
    if extra["print_config"]:
        if read_ranks().first:
            show_lines(command_config(options, extra["data"]))
        return
    if extra["data"] is None:
        raise UsageError("Missing argument 'DATA'.")
    import_torch()
    if options.config(DryRunConfig).dry_run:
        lines = estimate_training(extra["data"], options)
        show_lines(lines if read_ranks().first else [])
        return
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(noted())
        observer: Observer = LineObserver()
        if sys.stderr.isatty() and read_ranks().first:
            bar = BarObserver()
            stack.enter_context(bar.progress)
            observer = bar
        run_training(extra["data"], options, observer, stop)


PRINT_CONFIG = click.Option(
    ["--print-config"],
    is_flag=True,
    help="print all options as a TOML file for --config, and do not train; DATA may be left out",
)
command = ConfiguredCommand(
    "train",
    TRAIN_SPEC,
    run,
    HELP,
    extra=[click.Argument(["data"], required=False), PRINT_CONFIG],
    recipes=RECIPES,
)
