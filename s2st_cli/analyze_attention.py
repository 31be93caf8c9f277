"""`s2st analyze attention`: the attention map of one sentence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from s2st.errors import UsageError
from s2st.jobs.options import GENERATE_SPEC, ModelsConfig
from s2st.jobs.scoring_setup import require_checkpoints
from s2st.options.config import MOST_INTEGER
from s2st.options.resolution import CommandSpec, Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st_cli.click_options import ConfiguredCommand, Number, NumberOption
from s2st_cli.terminal_output import say, show, show_json

if TYPE_CHECKING:
    from s2st.analysis.attention_map import AttentionMap

HELP = """How much each target word took from each source word, as figure 3 of Bahdanau, Cho and
Bengio (2015): of line --line of --source, and of the same line of --target where it is given, else
of the best translation. Several checkpoints are an ensemble, whose attention is their mean.

Output: a table, after tabs: the source words, then a line a target word with its weights, which
sum to 1; the ends of both sentences read </s>.
"""
SPEC = CommandSpec(fixed=(ModelsConfig, ScoringDeviceConfig), roles=GENERATE_SPEC.roles)


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints the map to stdout, and draws it."""
    models = options.config(ModelsConfig)
    paths = require_checkpoints(models)
    if extra["source"] == "-" and extra["target"] == "-":
        raise UsageError("--source and --target cannot both be standard input (-)")
    import_torch()
    from s2st.analysis.attention_map import draw_attention, forced_map, searched_map
    from s2st.analysis.figures import require_matplotlib
    from s2st.process.device import setup_device
    from s2st.scoring.load_scorers import load_scorer

    figure = extra["figure"]
    if figure is not None:
        require_matplotlib()
    source = _line(extra["source"], extra["line"])
    target = None if extra["target"] is None else _line(extra["target"], extra["line"])
    device_config = options.config(ScoringDeviceConfig)
    device = setup_device(device_config)
    scorer = load_scorer(
        paths, device, device_config.precision, models.ensemble_weight, models.ensemble_mode
    )
    if target is not None:
        found = forced_map(scorer, source, target)
    else:
        search = options.entries["search"].build(options.configs["search"])
        found = searched_map(scorer, search, source)
    if extra["json"]:
        show_json(_record(found))
    else:
        for row in _table(found):
            show(*row)
    say(f"log-probability of the target {found.log_prob:.4f}")
    if figure is not None:
        say("wrote {} and {}".format(*draw_attention(figure, found)))


def _line(path: str, number: int) -> str:
    """Line `number`, from 1, of a file; raises UsageError where it has fewer."""
    from s2st.text.line_files import read_line

    line = read_line(path, number)
    if line is None:
        raise UsageError(f"{path}: has no line {number} (--line)")
    return line


def _table(found: "AttentionMap") -> list[list[str]]:
    rows = [
        [word, *(f"{weight:.4f}" for weight in weights)]
        for word, weights in zip(found.target, found.weights.tolist(), strict=True)
    ]
    return [["", *found.source], *rows]


def _record(found: "AttentionMap") -> dict[str, Any]:
    return {
        "source": found.source,
        "target": found.target,
        "attention": found.weights.tolist(),
        "log_prob": found.log_prob,
    }


command = ConfiguredCommand(
    "attention",
    SPEC,
    run,
    HELP,
    extra=[
        click.Option(
            ["-s", "--source"], required=True, metavar="FILE", help="source lines; - for a pipe"
        ),
        click.Option(
            ["-t", "--target"], metavar="FILE",
            help="target lines: their map instead of the best translation's",
        ),
        NumberOption(
            ["--line"], type=Number(int, 1, MOST_INTEGER), default=1, help="which line, from 1"
        ),
        click.Option(
            ["--figure"], metavar="NAME", help="draw NAME.svg and NAME.png; needs matplotlib"
        ),
        click.Option(["--json"], is_flag=True, help="one JSON object instead of the table"),
    ],
)  # fmt: skip
