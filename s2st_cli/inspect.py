"""`s2st inspect`: describe a checkpoint, a store, an architecture or a preset."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from s2st.errors import UsageError
from s2st.jobs.inspect import INSPECT_SPEC, inspect
from s2st.options.resolution import OptionSource, Resolved
from s2st.process.consistent_reads import is_folder
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.path_checks import check_paths
from s2st_cli.terminal_output import show_lines

HELP = """Describe PATH, which is a checkpoint, a store, or the TOML file of an ensemble.

s2st shows the options, vocabulary sizes, parameters of each part, and the training history. With
--verify, s2st instead reads every byte of a checkpoint or store and lists its files; at the first
damaged file it stops with exit code 65.

With --config CHECKPOINT, s2st prints the options that trained a checkpoint, as a TOML file that
`train --config` accepts.

Without PATH, s2st shows the parameters of --arch for vocabularies of --nwordssrc and --nwordstgt
words, without allocating them.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job."""
    show_lines(inspect(options, extra["path"]))


class InspectCommand(ConfiguredCommand):
    """A command whose `--config` also takes a checkpoint: it then prints the options of that."""

    config_help = (
        "a checkpoint: print the options that trained it, as a TOML file for `train --config`; or "
        "a TOML file of options of --arch"
    )

    def invoke(self, ctx: click.Context) -> Any:
        """Prints the options of a checkpoint, or describes what the other options name."""
        path = ctx.params.get("config")
        if path is None or not is_folder(path):
            return super().invoke(ctx)
        for name in ctx.params:
            source = ctx.get_parameter_source(name)
            if name != "config" and source == ParameterSource.COMMANDLINE and ctx.params[name]:
                shown = "PATH" if name == "path" else f"--{name.replace('_', '-')}"
                raise UsageError(f"{shown} cannot be combined with --config CHECKPOINT")
        check_paths({"config": path})
        from s2st.jobs.reusable_config import checkpoint_config  # loads the training job

        show_lines(checkpoint_config(path))
        return None

    def _sources(self, recipe: str | None, config: str | None) -> list[OptionSource]:
        folder = config is not None and is_folder(config)
        return super()._sources(recipe, None if folder else config)


command = InspectCommand(
    "inspect", INSPECT_SPEC, run, HELP, extra=[click.Argument(["path"], required=False)]
)
