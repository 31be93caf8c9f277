"""`s2st analyze attention`: the attention map of one sentence."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from s2st.components import CommandSpec, Resolved
from s2st.device import ScoringDeviceConfig
from s2st.errors import UsageError
from s2st.pipelines.options import GENERATE_SPEC, ModelsConfig
from s2st_cli.generate import require_checkpoints
from s2st_cli.options import ConfiguredCommand
from s2st_cli.startup import import_torch

if TYPE_CHECKING:
    from s2st.analysis.attention import AttentionMap

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
    from s2st.analysis.attention import draw_attention, forced_map, searched_map
    from s2st.analysis.figures import figure_paths, require_matplotlib
    from s2st.device import setup_device
    from s2st.scoring.build import load_scorer
    from s2st.text.lines import check_outputs, open_output

    figure = extra["figure"]
    inputs = [extra["source"], extra["target"]]
    if figure is not None:
        require_matplotlib()
        check_outputs([str(path) for path in figure_paths(figure)], inputs)
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
    with open_output("-") as write:
        for line in _json(found) if extra["json"] else _table(found):
            write(line)
    print(f"s2st: log-probability of the target {found.log_prob:.4f}", file=sys.stderr)
    if figure is not None:
        draw_attention(figure, found)


def _line(path: str, number: int) -> str:
    """Line `number`, from 1, of a file; raises UsageError where it has fewer."""
    from s2st.text.lines import read_line

    line = read_line(path, number)
    if line is None:
        raise UsageError(f"{path}: has no line {number} (--line)")
    return line


def _table(found: "AttentionMap") -> list[str]:
    rows = [
        "\t".join([word, *(f"{weight:.4f}" for weight in weights)])
        for word, weights in zip(found.target, found.weights.tolist(), strict=True)
    ]
    return ["\t".join(["", *found.source]), *rows]


def _json(found: "AttentionMap") -> list[str]:
    record = {
        "source": found.source,
        "target": found.target,
        "attention": found.weights.tolist(),
        "log_prob": found.log_prob,
    }
    return [json.dumps(record, ensure_ascii=False)]


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
        click.Option(
            ["--line"], type=click.IntRange(min=1), default=1, show_default=True,
            help="which line, from 1",
        ),
        click.Option(
            ["--figure"], metavar="NAME", help="draw NAME.svg and NAME.png; needs matplotlib"
        ),
        click.Option(["--json"], is_flag=True, help="one JSON object instead of the table"),
    ],
)  # fmt: skip
